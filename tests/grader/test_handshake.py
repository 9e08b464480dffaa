"""Which machines may grade."""

from grader.course.handshake import WorkerInfo, introduce, problem


def test_machine_without_the_kit_is_told_to_install_it():
    assert "cannot load the kit (ModuleNotFoundError: No module named 'grader')" in problem(
        ModuleNotFoundError("No module named 'grader'"), confined=True
    )


def test_machine_must_confine_only_where_that_is_asked():
    loose = WorkerInfo(introduce().kit, isolates=True, unconfined=("Landlock is missing",))
    assert problem(loose, confined=True) == "cannot confine submissions: Landlock is missing"
    assert problem(loose, confined=False) == ""
    assert problem(loose, confined=True, grades=False) == ""


def test_machine_without_processes_for_submissions_is_never_fit():
    assert "Linux" in problem(WorkerInfo(introduce().kit, isolates=False, unconfined=()), confined=False)
