"""Which machines may grade."""

from grader.batch.fitness import Introduction, introduce, problem


def test_machine_without_the_kit_is_told_to_install_it():
    assert "cannot load the kit (ModuleNotFoundError: No module named 'grader')" in problem(
        ModuleNotFoundError("No module named 'grader'"), confined=True
    )


def test_machine_must_confine_only_where_that_is_asked():
    loose = Introduction(introduce().kit, isolates=True, unconfined=("Landlock is missing",))
    assert problem(loose, confined=True) == "cannot confine submissions: Landlock is missing"
    assert problem(loose, confined=False) == ""
    assert problem(loose, confined=True, grades=False) == ""


def test_machine_without_processes_for_submissions_is_never_fit():
    assert "Linux" in problem(Introduction(introduce().kit, isolates=False, unconfined=()), confined=False)
