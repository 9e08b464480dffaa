"""Known mistakes in `generation`: what learners write instead, and the sentence that tells them so."""

from grader.checking import Mistake, always

# The lines of the solution that the mistakes replace; each stands there once.
GREEDY = "return logits.argmax(dim=-1)"
DIVIDED = "return _widen(logits) / value"
POSITIVE = "if not value > 0:"
K_CHECK = "if k < 1:"
K_ORDER = "order = logits.argsort(dim=-1, descending=True, stable=True)"
K_KEPT = "return _keep(logits, order, kept_by_rank.expand_as(order))"
P_CHECK = "if not 0 < p <= 1:"
P_ALL = "if p == 1:"
P_LINE = "line, order = _widen(logits).sort(dim=-1, descending=True, stable=True)"
P_SHARES = "probabilities = torch.softmax(line, dim=-1)"
P_KEPT = "return _keep(logits, order, before < p)"
DRAWN = "ids = torch.multinomial(rows, num_samples=1, generator=generator)"
SHARES = "probabilities = torch.softmax(_widen(logits), dim=-1)"
SAMPLED = "return ids.reshape(logits.shape[:-1])"

EMPTY = "if ids.shape[1] == 0:"
SETTINGS = "divisor=temperature, count=top_k, mass=top_p, generator=generator"
CONTEXT = "with torch.no_grad(), _evaluating(model):"
EXTENDED = "return _extend(model, ids, max_new_tokens, choose, stop_token)"
ZERO = "    if divisor == 0:\n        return greedy(logits)\n"
HEATED = "    logits = temperature(logits, divisor)\n"
COUNTED = "    if count is not None:\n        logits = top_k(logits, count)\n"
AFTER = "    # After top-k: the probabilities of the k that are left sum to 1 again.\n"
MASSED = "    if mass is not None:\n        logits = top_p(logits, mass)\n"
LAST = "    return sample(logits, generator=generator)\n\n\ndef _extend"
CLONED = "text = ids.clone()"
STEPS = "for _ in range(max_new_tokens):"
CROPPED = "context = text[:, -model.config.max_length :]"
CHOSEN = "chosen = choose(model(context)[:, -1])"
STOPPED = "if stop_token is not None:"
FILLED = "chosen = torch.where(over, stop_token, chosen)"
OVER = "over = over | (chosen == stop_token)"
NONE_OVER = "over = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)"
APPENDED = "text = torch.cat([text, chosen[:, None]], dim=1)"
ENDED = "if over.all():\n            break"
MODEL_EVAL = "    model.eval()\n"
RESTORED = "module.training = mode  #"
MODES = "        for module, mode in modes:\n            module.training = mode"
FINALLY = "    try:\n        yield\n    finally:  # after an error too\n" + MODES

Edits = dict[str, str]


def _of(exercise: str, **mistakes: tuple[str, Edits]) -> list[Mistake]:
    """The mistakes of one exercise by id."""
    return [Mistake(id.replace("_", "-"), exercise, says, edits) for id, (says, edits) in mistakes.items()]


FUNCTIONS = [
    *_of(
        "greedy",
        greedy_first_axis=(
            "your argmax runs along the first axis, not along the vocabulary, which is the last.",
            {GREEDY: "return logits.argmax(dim=0)"},
        ),
        greedy_last_of_equals=(
            "of several equal logits you take the last: the one with the lowest id is asked for.",
            {GREEDY: "return logits.shape[-1] - 1 - logits.flip(-1).argmax(dim=-1)"},
        ),
        greedy_value=(
            "you return the largest logit itself, not the id of its token.",
            {GREEDY: "return logits.amax(dim=-1)"},
        ),
    ),
    *_of(
        "temperature",
        temperature_multiplies=(
            "you multiply by the temperature: the logits are divided by it.",
            {DIVIDED: "return _widen(logits) * value"},
        ),
        temperature_zero_alone_is_refused=(
            "only the temperature 0 is refused: below 0 the least likely token would win, and NaN makes all logits NaN.",
            {POSITIVE: "if value == 0:"},
        ),
        temperature_zero_divides=(
            "a temperature of 0 (or a negative one, or NaN) is not refused: you divide by it.",
            {POSITIVE: "if False:"},
        ),
        temperature_error_without_greedy=(
            "your ValueError does not say that greedy is what a temperature of 0 stands for.",
            {"got {value}: for a temperature of 0 use greedy": "got {value}"},
        ),
        temperature_in_half_precision=(
            "you divide in half precision, where 40000 / 0.5 is inf: float16 and bfloat16 are widened to float32 first.",
            {DIVIDED: "return logits / value"},
        ),
        temperature_one_returns_its_input=(
            "at a temperature of 1 you return the caller's own tensor: a new one is asked for.",
            {DIVIDED: "return logits if value == 1 and logits.dtype == torch.float64 else _widen(logits) / value"},
        ),
        temperature_in_place=(
            "you divide in place (/= or div_): the caller's logits change.",
            {DIVIDED: "return _widen(logits).div_(value)"},
        ),
    ),
    *_of(
        "top_k",
        top_k_keeps_ties=(
            "you keep every token that is as large as the k-th: where several are equal, exactly k stay, those with the lower ids.",
            {
                K_KEPT: "border = logits.sort(dim=-1, descending=True)[0][..., min(k, logits.shape[-1]) - 1, None]\n"
                "    return torch.where(logits >= border, logits, -torch.inf)"
            },
        ),
        top_k_returns_its_input=(
            "where k is the size of the vocabulary or more you return the caller's own tensor: a new one is asked for.",
            {K_ORDER: f"if k >= logits.shape[-1]:\n        return logits\n    {K_ORDER}"},
        ),
        top_k_unstable=(
            "your sort is not stable: in long rows of equal logits, others than those with the lower ids stay.",
            {
                K_ORDER: "order = logits.topk(min(k, logits.shape[-1]), dim=-1).indices\n    return torch.full_like(logits, -torch.inf).scatter(-1, order, logits.gather(-1, order))"
            },
        ),
        top_k_higher_ids=(
            "of several equal logits at the border you keep those with the higher ids: the lower ones stay.",
            {K_ORDER: "order = logits.argsort(dim=-1, stable=True).flip(-1)"},
        ),
        top_k_keeps_the_smallest=(
            "you keep the k smallest logits: sort with descending=True.",
            {K_ORDER: "order = logits.argsort(dim=-1, stable=True)"},
        ),
        top_k_fills_with_a_number=(
            "you set what is cut off to a large negative number: only -inf has a probability of exactly 0.",
            {K_KEPT: K_KEPT.replace("return ", "kept = ") + "\n    return torch.where(kept.isinf(), -1e4, kept)"},
        ),
        top_k_sorted=(
            "your result is in sorted order: each logit must stay in the place of its token.",
            {K_KEPT: "return logits.gather(-1, order).masked_fill(~kept_by_rank, -torch.inf)"},
        ),
        top_k_refuses_large=(
            "k larger than the vocabulary crashes: it keeps all.",
            {K_ORDER: "order = logits.topk(k, dim=-1).indices\n    " + K_ORDER},
        ),
        top_k_unchecked=("k below 1 is not refused.", {K_CHECK: "if False:"}),
    ),
    *_of(
        "top_p",
        top_p_drops_the_crossing=(
            "you drop the token that crosses p: it stays, so that the kept probabilities sum to at least p.",
            {P_KEPT: "before = probabilities.cumsum(dim=-1)\n    return _keep(logits, order, before <= p)"},
        ),
        top_p_drops_all_but_the_first=(
            "you drop the token that crosses p (the first one aside): it stays, so that the kept probabilities sum to at least p.",
            {
                P_KEPT: "with_it = probabilities.cumsum(dim=-1)\n    return _keep(logits, order, (with_it <= p) | (before == 0))"
            },
        ),
        top_p_keeps_ties=(
            "you keep every token that is as probable as the one that crosses p: of equals only as many stay as it takes.",
            {
                P_KEPT: "border = torch.where(before < p, line, torch.inf).amin(dim=-1, keepdim=True)\n    return torch.where(_widen(logits) >= border, logits, -torch.inf)"
            },
        ),
        top_p_returns_its_input=(
            "with p = 1 you return the caller's own tensor: a new one is asked for.",
            {"return logits.clone()": "return logits"},
        ),
        top_p_one_too_many=(
            "where the sum is exactly p you keep one token more: a sum of p is enough.",
            {P_KEPT: P_KEPT.replace("before < p", "before <= p")},
        ),
        top_p_unsorted=(
            "you sum the probabilities in the order of the ids: they are summed from the most probable token on.",
            {P_LINE: "line, order = _widen(logits), torch.arange(logits.shape[-1]).expand(logits.shape)"},
        ),
        top_p_from_the_least_probable=(
            "you sum from the least probable token on: sort with descending=True.",
            {P_LINE: P_LINE.replace("descending=True, ", "")},
        ),
        top_p_mask_unsorted=(
            "you apply the decisions of the sorted line to the tokens in the order of their ids: scatter them back first.",
            {P_KEPT: "return torch.where(before < p, logits, -torch.inf)"},
        ),
        top_p_one_cuts=(
            "with p = 1 you cut off tokens before which the sum is rounded to 1: every probability above 0 stays.",
            {P_ALL: "if False:"},
        ),
        top_p_half_precision=(
            "you sum probabilities in half precision, where large sums do not notice small numbers: use float32.",
            {P_LINE: P_LINE.replace("_widen(logits)", "logits")},
        ),
        top_p_higher_ids=(
            "of equally probable tokens you keep those with the higher ids: the lower ones come first.",
            {P_LINE: "line, order = (t.flip(-1) for t in _widen(logits).sort(dim=-1, stable=True))"},
        ),
        top_p_unchecked=("p outside of its range (above 0, at most 1) is not refused.", {P_CHECK: "if False:"}),
    ),
    *_of(
        "sample",
        sample_argmax=("you take the likeliest token: it is to be drawn.", {DRAWN: "ids = rows.argmax(-1)"}),
        sample_uniform=(
            "you draw all tokens that are not cut off equally often: the softmax of the logits says how often.",
            {SHARES: "probabilities = (logits > -torch.inf).double()"},
        ),
        sample_exp_overflows=(
            "you take exp of the logits themselves, which overflows: torch.softmax subtracts the maximum first.",
            {SHARES: "probabilities = torch.exp(_widen(logits))"},
        ),
        sample_two_axes_only=(
            "your sample takes two axes only: bring all but the last together first, and apart again afterwards.",
            {DRAWN: DRAWN.replace("rows", "probabilities"), SAMPLED: "return ids[:, 0]"},
        ),
        sample_global_generator=(
            "you draw from torch's global generator although you were given one: pass it on to torch.multinomial.",
            {DRAWN: DRAWN.replace(", generator=generator", "")},
        ),
        sample_fixed_seed=(
            "without a generator you draw from one with a fixed seed: None means torch's global one.",
            {DRAWN: DRAWN.replace("generator=generator", "generator=generator or torch.Generator().manual_seed(0)")},
        ),
        sample_starts_again=(
            "you set the generator back to its seed in each call: its draws go on where the last call left it.",
            {DRAWN: f"generator and generator.manual_seed(generator.initial_seed())\n    {DRAWN}"},
        ),
        sample_one_draw_for_all=(
            "one draw decides for all rows: each is drawn on its own.",
            {SAMPLED: "return ids[:1].expand(len(ids), 1).reshape(logits.shape[:-1])"},
        ),
    ),
]

TEXT = _of(
    "generate",
    prompt_left_out=(
        "your result lacks the prompt: it comes first, the new tokens after it.",
        {EXTENDED: EXTENDED + "[:, ids.shape[1]:]"},
    ),
    prompt_repeated=(
        "the prompt stands twice in your result.",
        {EXTENDED: EXTENDED.replace("return ", "text = ") + "\n        return torch.cat([ids, text], dim=1)"},
    ),
    one_token_too_many=(
        "you generate one token more than max_new_tokens.",
        {STEPS: "for _ in range(max_new_tokens + 1):"},
    ),
    prompt_not_copied=(
        "for max_new_tokens=0 you return the caller's own tensor: a copy is asked for.",
        {CLONED: "text = ids"},
    ),
    empty_prompt=("an empty prompt is not refused.", {EMPTY: "if False:"}),
    first_position=(
        "you choose by the logits of the first position: those of the last say what comes next.",
        {CHOSEN: CHOSEN.replace("[:, -1]", "[:, 0]")},
    ),
    not_cropped=(
        "the context is not cropped: the model takes no more than the last model.config.max_length tokens.",
        {CROPPED: "context = text"},
    ),
    cropped_at_the_end=(
        "you crop to the first max_length tokens: the model must see the last ones.",
        {CROPPED: "context = text[:, : model.config.max_length]"},
    ),
    cropped_too_short=(
        "you crop to max_length - 1 tokens: the model takes max_length.",
        {CROPPED: "context = text[:, -(model.config.max_length - 1) :]"},
    ),
    result_cropped=(
        "you crop the text that you return: only what the model sees is cropped.",
        {CROPPED: "context = text = text[:, -model.config.max_length :]"},
    ),
    stop_ignored=("the stop token stops nothing.", {STOPPED: "if False:"}),
    stop_not_filled=(
        "a text that has stopped goes on while others do: it is filled up with the stop token.",
        {FILLED: "pass"},
    ),
    stop_of_one_ends_all=(
        "you end as soon as one text has stopped: the others go on.",
        {ENDED: ENDED.replace("all()", "any()")},
    ),
    stop_too_late=(
        "you go on after all texts have stopped: generation ends at once.",
        {ENDED: "pass"},
    ),
    stop_left_out=(
        "you end before the last stop token is appended: it is part of the result.",
        {ENDED: "pass", APPENDED: f"if over.all():\n            break\n        {APPENDED}"},
    ),
    stop_in_prompt=(
        "a stop token in the prompt ends a text: only one that was generated does.",
        {NONE_OVER: "over = (ids == (-1 if stop_token is None else stop_token)).any(dim=1)"},
    ),
)

CHOICE = _of(
    "generate",
    temperature_zero=(
        "temperature=0 is divided by (or refused): in generate it means greedy.",
        {ZERO: ""},
    ),
    always_greedy=(
        "you always take the likeliest token: with a temperature above 0 it is drawn.",
        {LAST: LAST.replace("sample(logits, generator=generator)", "greedy(logits)")},
    ),
    temperature_after_filters=(
        "you divide by the temperature after top-k and top-p: it comes first, so that top-p sees what is drawn from.",
        {HEATED: "", LAST: HEATED + LAST},
    ),
    top_p_before_top_k=(
        "you filter by top-p before top-k: top-k comes first, and top-p sees its probabilities, which sum to 1 again.",
        {COUNTED: MASSED, AFTER + MASSED: COUNTED},
    ),
    temperature_ignored=("the temperature is ignored (unless it is 0).", {HEATED: ""}),
    top_k_ignored=("top_k is ignored.", {SETTINGS: SETTINGS.replace("count=top_k", "count=None")}),
    top_p_ignored=("top_p is ignored.", {SETTINGS: SETTINGS.replace("mass=top_p", "mass=None")}),
    generator_ignored=(
        "you draw from torch's global generator although you were given one: pass it on to sample.",
        {SETTINGS: SETTINGS.replace("generator=generator", "generator=None")},
    ),
    seeds_the_global_generator=(
        "without a generator you seed torch's global one: every call draws the same text.",
        {EMPTY: f"if generator is None: torch.default_generator.manual_seed(0)\n    {EMPTY}"},
    ),
    fixed_seed=(
        "without a generator you draw from one of your own with a fixed seed: None means torch's global one.",
        {EMPTY: f"generator = generator or torch.Generator().manual_seed(0)\n    {EMPTY}"},
    ),
    generator_set_back=(
        "your generator is set back before every token, so all positions draw alike: let it run on.",
        {
            LAST: LAST.replace(
                "generator=generator", "generator=generator and torch.Generator().manual_seed(generator.initial_seed())"
            )
        },
    ),
)

MODE = _of(
    "generate",
    dropout_on=(
        "the model stays in training mode while it generates, so dropout changes its logits: call model.eval() first.",
        {MODEL_EVAL: ""},
    ),
    mode_after_error=(
        "after an error the model is left in evaluation mode: restore in a `finally`.",
        {FINALLY: "    yield\n" + MODES.replace("        for", "    for")},
    ),
    left_in_eval=(
        "the model is left in evaluation mode: put every module back in the mode it was in.",
        {MODES: "        pass"},
    ),
    always_to_train=(
        "you call model.train() at the end: a model that was in evaluation mode must stay in it.",
        {MODES: "        model.train()"},
    ),
    mode_of_the_model_alone=(
        "you restore the mode of the model as a whole: each of its modules has a mode of its own (model.modules()).",
        {MODES: "        model.train(modes[0][1])"},
    ),
    freezes_the_model=(
        "you freeze the parameters of the model: it is the calls that need no graph.",
        {CONTEXT: f"model.requires_grad_(False)\n    {CONTEXT}"},
    ),
)

MISTAKES = [
    *FUNCTIONS,
    *TEXT,
    *CHOICE,
    *MODE,
    *always("greedy", without=("detached",)),
    *always("temperature", without=("detached",)),
    *always("top_k", without=("detached",)),
    *always("top_p", without=("detached",)),
    *always("sample", without=("detached",)),
    *always("generate", without=("detached", "mutates-its-input")),
]
