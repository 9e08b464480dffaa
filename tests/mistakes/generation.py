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
            "your argmax runs along the first axis: the vocabulary is the last one.",
            {GREEDY: "return logits.argmax(dim=0)"},
        ),
        greedy_last_of_equals=(
            "of several equal logits you take the last one: take the one with the lowest id.",
            {GREEDY: "return logits.shape[-1] - 1 - logits.flip(-1).argmax(dim=-1)"},
        ),
        greedy_value=(
            "you return the largest logit itself: return the id of its token.",
            {GREEDY: "return logits.amax(dim=-1)"},
        ),
    ),
    *_of(
        "temperature",
        temperature_multiplies=(
            "you multiply the logits by the temperature: divide by it.",
            {DIVIDED: "return _widen(logits) * value"},
        ),
        temperature_zero_alone_is_refused=(
            "you refuse only the temperature 0: refuse negative ones, which would favor unlikely tokens, and NaN too.",
            {POSITIVE: "if value == 0:"},
        ),
        temperature_zero_divides=(
            "you do not refuse a temperature of 0, a negative one, or NaN: you divide by it.",
            {POSITIVE: "if False:"},
        ),
        temperature_error_without_greedy=(
            "your ValueError does not say to use greedy for a temperature of 0.",
            {"got {value}: for a temperature of 0 use greedy": "got {value}"},
        ),
        temperature_in_half_precision=(
            "you divide in half precision, where 40000 / 0.5 is inf: convert float16 and bfloat16 to float32 first.",
            {DIVIDED: "return logits / value"},
        ),
        temperature_one_returns_its_input=(
            "at a temperature of 1 you return the caller's own tensor: return a new one.",
            {DIVIDED: "return logits if value == 1 and logits.dtype == torch.float64 else _widen(logits) / value"},
        ),
        temperature_in_place=(
            "you divide in place (/= or div_), which changes the caller's logits: return a new tensor.",
            {DIVIDED: "return _widen(logits).div_(value)"},
        ),
    ),
    *_of(
        "top_k",
        top_k_keeps_ties=(
            "you keep every logit that is as large as the k-th: keep exactly k, and of equal ones those with the lower ids.",
            {
                K_KEPT: "border = logits.sort(dim=-1, descending=True)[0][..., min(k, logits.shape[-1]) - 1, None]\n"
                "    return torch.where(logits >= border, logits, -torch.inf)"
            },
        ),
        top_k_returns_its_input=(
            "if k is at least the vocabulary size, you return the caller's own tensor: return a new one.",
            {K_ORDER: f"if k >= logits.shape[-1]:\n        return logits\n    {K_ORDER}"},
        ),
        top_k_unstable=(
            "your sort is not stable, so in long rows of equal logits you do not keep the lowest ids: use stable=True.",
            {
                K_ORDER: "order = logits.topk(min(k, logits.shape[-1]), dim=-1).indices\n    return torch.full_like(logits, -torch.inf).scatter(-1, order, logits.gather(-1, order))"
            },
        ),
        top_k_higher_ids=(
            "of equal logits that compete for the last places you keep those with the higher ids: keep the lower ones.",
            {K_ORDER: "order = logits.argsort(dim=-1, stable=True).flip(-1)"},
        ),
        top_k_keeps_the_smallest=(
            "you keep the k smallest logits: sort with descending=True.",
            {K_ORDER: "order = logits.argsort(dim=-1, stable=True)"},
        ),
        top_k_fills_with_a_number=(
            "you set removed logits to a large negative number: only -inf has a probability of exactly 0.",
            {K_KEPT: K_KEPT.replace("return ", "kept = ") + "\n    return torch.where(kept.isinf(), -1e4, kept)"},
        ),
        top_k_sorted=(
            "your result is in sorted order: each logit must stay at the position of its token.",
            {K_KEPT: "return logits.gather(-1, order).masked_fill(~kept_by_rank, -torch.inf)"},
        ),
        top_k_refuses_large=(
            "your code crashes if k is larger than the vocabulary: keep all logits then.",
            {K_ORDER: "order = logits.topk(k, dim=-1).indices\n    " + K_ORDER},
        ),
        top_k_unchecked=("you do not refuse a k below 1.", {K_CHECK: "if False:"}),
    ),
    *_of(
        "top_p",
        top_p_drops_the_crossing=(
            "you drop the token with which the sum reaches p: keep it, so that the kept probabilities sum to at least p.",
            {P_KEPT: "before = probabilities.cumsum(dim=-1)\n    return _keep(logits, order, before <= p)"},
        ),
        top_p_drops_all_but_the_first=(
            "you drop the token with which the sum reaches p (unless it is the first): keep it, so that the kept probabilities sum to at least p.",
            {
                P_KEPT: "with_it = probabilities.cumsum(dim=-1)\n    return _keep(logits, order, (with_it <= p) | (before == 0))"
            },
        ),
        top_p_keeps_ties=(
            "you keep every token that is as probable as the one that reaches p: of equal ones keep only as many as you need to reach p.",
            {
                P_KEPT: "border = torch.where(before < p, line, torch.inf).amin(dim=-1, keepdim=True)\n    return torch.where(_widen(logits) >= border, logits, -torch.inf)"
            },
        ),
        top_p_returns_its_input=(
            "with p = 1 you return the caller's own tensor: return a new one.",
            {"return logits.clone()": "return logits"},
        ),
        top_p_one_too_many=(
            "if the sum is exactly p, you keep one more token: a sum of p is enough.",
            {P_KEPT: P_KEPT.replace("before < p", "before <= p")},
        ),
        top_p_unsorted=(
            "you sum the probabilities in order of id: sum them from the most probable token on.",
            {P_LINE: "line, order = _widen(logits), torch.arange(logits.shape[-1]).expand(logits.shape)"},
        ),
        top_p_from_the_least_probable=(
            "you sum from the least probable token on: sort with descending=True.",
            {P_LINE: P_LINE.replace("descending=True, ", "")},
        ),
        top_p_mask_unsorted=(
            "you apply decisions made in sorted order to tokens in order of id: scatter them back first.",
            {P_KEPT: "return torch.where(before < p, logits, -torch.inf)"},
        ),
        top_p_one_cuts=(
            "with p = 1 you drop tokens because the sum before them rounds to 1: keep every token with a probability above 0.",
            {P_ALL: "if False:"},
        ),
        top_p_half_precision=(
            "you sum probabilities in half precision, where adding a small number does not change a large sum: use float32.",
            {P_LINE: P_LINE.replace("_widen(logits)", "logits")},
        ),
        top_p_higher_ids=(
            "of equally probable tokens you keep those with the higher ids: keep the lower ones.",
            {P_LINE: "line, order = (t.flip(-1) for t in _widen(logits).sort(dim=-1, stable=True))"},
        ),
        top_p_unchecked=("you do not refuse a p outside its range (above 0, at most 1).", {P_CHECK: "if False:"}),
    ),
    *_of(
        "sample",
        sample_argmax=("you take the most likely token: draw one instead.", {DRAWN: "ids = rows.argmax(-1)"}),
        sample_uniform=(
            "you draw all possible tokens equally often: use the softmax of the logits as probabilities.",
            {SHARES: "probabilities = (logits > -torch.inf).double()"},
        ),
        sample_exp_overflows=(
            "you take exp of the logits directly, which overflows: use torch.softmax, which subtracts the maximum first.",
            {SHARES: "probabilities = torch.exp(_widen(logits))"},
        ),
        sample_two_axes_only=(
            "your sample takes only two axes: reshape all leading axes to one first, and back afterwards.",
            {DRAWN: DRAWN.replace("rows", "probabilities"), SAMPLED: "return ids[:, 0]"},
        ),
        sample_global_generator=(
            "you draw from torch's global generator although you were given one: pass it on to torch.multinomial.",
            {DRAWN: DRAWN.replace(", generator=generator", "")},
        ),
        sample_fixed_seed=(
            "without a given generator you draw from one with a fixed seed: None means torch's global one.",
            {DRAWN: DRAWN.replace("generator=generator", "generator=generator or torch.Generator().manual_seed(0)")},
        ),
        sample_starts_again=(
            "you reset the generator to its seed in each call: its draws must continue where the last call left it.",
            {DRAWN: f"generator and generator.manual_seed(generator.initial_seed())\n    {DRAWN}"},
        ),
        sample_one_draw_for_all=(
            "you make one draw for all rows: draw for each row separately.",
            {SAMPLED: "return ids[:1].expand(len(ids), 1).reshape(logits.shape[:-1])"},
        ),
    ),
]

TEXT = _of(
    "generate",
    prompt_left_out=(
        "your result lacks the prompt: return the prompt, followed by the new tokens.",
        {EXTENDED: EXTENDED + "[:, ids.shape[1]:]"},
    ),
    prompt_repeated=(
        "your result contains the prompt twice.",
        {EXTENDED: EXTENDED.replace("return ", "text = ") + "\n        return torch.cat([ids, text], dim=1)"},
    ),
    one_token_too_many=(
        "you generate one token more than max_new_tokens.",
        {STEPS: "for _ in range(max_new_tokens + 1):"},
    ),
    prompt_not_copied=(
        "for max_new_tokens=0 you return the caller's own tensor: return a copy.",
        {CLONED: "text = ids"},
    ),
    empty_prompt=("you do not refuse an empty prompt.", {EMPTY: "if False:"}),
    first_position=(
        "you use the logits of the first position: those of the last one predict the next token.",
        {CHOSEN: CHOSEN.replace("[:, -1]", "[:, 0]")},
    ),
    not_cropped=(
        "you do not crop the context: the model takes only the last model.config.max_length tokens.",
        {CROPPED: "context = text"},
    ),
    cropped_at_the_end=(
        "you crop to the first max_length tokens: the model must see the last ones.",
        {CROPPED: "context = text[:, : model.config.max_length]"},
    ),
    cropped_too_short=(
        "you crop the context to max_length - 1 tokens: the model takes max_length.",
        {CROPPED: "context = text[:, -(model.config.max_length - 1) :]"},
    ),
    result_cropped=(
        "you crop the text that you return: crop only the model's input.",
        {CROPPED: "context = text = text[:, -model.config.max_length :]"},
    ),
    stop_ignored=("your code ignores the stop token: end a text when it produces one.", {STOPPED: "if False:"}),
    stop_not_filled=(
        "a text that has ended continues as long as others do: pad it with the stop token.",
        {FILLED: "pass"},
    ),
    stop_of_one_ends_all=(
        "you end when the first text has ended: go on until all have.",
        {ENDED: ENDED.replace("all()", "any()")},
    ),
    stop_too_late=(
        "you go on after all texts have ended: stop at once.",
        {ENDED: "pass"},
    ),
    stop_left_out=(
        "you end before appending the last stop token: it is part of the result.",
        {ENDED: "pass", APPENDED: f"if over.all():\n            break\n        {APPENDED}"},
    ),
    stop_in_prompt=(
        "a stop token in the prompt ends your text: only a generated one may end it.",
        {NONE_OVER: "over = (ids == (-1 if stop_token is None else stop_token)).any(dim=1)"},
    ),
)

CHOICE = _of(
    "generate",
    temperature_zero=(
        "you divide by temperature=0 (or it is refused): in generate it means greedy.",
        {ZERO: ""},
    ),
    always_greedy=(
        "you always take the most likely token: with a temperature above 0, draw one.",
        {LAST: LAST.replace("sample(logits, generator=generator)", "greedy(logits)")},
    ),
    temperature_after_filters=(
        "you divide by the temperature after top-k and top-p: divide first, so that top-p sees the distribution that you draw from.",
        {HEATED: "", LAST: HEATED + LAST},
    ),
    top_p_before_top_k=(
        "you apply top-p before top-k: apply top-k first, so that top-p sees the probabilities of the remaining tokens.",
        {COUNTED: MASSED, AFTER + MASSED: COUNTED},
    ),
    temperature_ignored=("you ignore the temperature (unless it is 0).", {HEATED: ""}),
    top_k_ignored=("you ignore top_k.", {SETTINGS: SETTINGS.replace("count=top_k", "count=None")}),
    top_p_ignored=("you ignore top_p.", {SETTINGS: SETTINGS.replace("mass=top_p", "mass=None")}),
    generator_ignored=(
        "you draw from torch's global generator although you were given one: pass it on to sample.",
        {SETTINGS: SETTINGS.replace("generator=generator", "generator=None")},
    ),
    seeds_the_global_generator=(
        "without a given generator you seed torch's global one, so every call draws the same text: do not seed it.",
        {EMPTY: f"if generator is None: torch.default_generator.manual_seed(0)\n    {EMPTY}"},
    ),
    fixed_seed=(
        "without a given generator you draw from your own one with a fixed seed: None means torch's global one.",
        {EMPTY: f"generator = generator or torch.Generator().manual_seed(0)\n    {EMPTY}"},
    ),
    generator_set_back=(
        "you reset the generator before every token, so all positions draw alike: let it continue.",
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
        "you leave the model in training mode during generation, so dropout changes its logits: call model.eval() first.",
        {MODEL_EVAL: ""},
    ),
    mode_after_error=(
        "after an error the model stays in evaluation mode: restore the modes in a `finally`.",
        {FINALLY: "    yield\n" + MODES.replace("        for", "    for")},
    ),
    left_in_eval=(
        "you leave the model in evaluation mode: restore the mode of every module.",
        {MODES: "        pass"},
    ),
    always_to_train=(
        "you call model.train() at the end: a model that was in evaluation mode must stay in it.",
        {MODES: "        model.train()"},
    ),
    mode_of_the_model_alone=(
        "you restore only the mode of the whole model: each of its modules has its own mode (model.modules()).",
        {MODES: "        model.train(modes[0][1])"},
    ),
    freezes_the_model=(
        "you freeze the model's parameters: call the model under torch.no_grad() instead.",
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
