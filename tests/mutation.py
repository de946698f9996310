"""Results of `mutmut run`: the mutants that no test detects, and the table of docs/mutation.md.

`python -m tests.mutation`, in the folder that holds `mutants/`.
"""

import json
import sys
from collections import Counter
from pathlib import Path

MUTANTS = Path("mutants")
STATUSES = {
    0: "survived",
    1: "killed",
    3: "killed",
    5: "not reached",
    33: "not reached",
}  # by pytest's, mutmut's status
COLUMNS = ("killed", "stopped", "survived", "not reached")  # stopped: by a signal or the timeout


def results(folder: Path) -> dict[str, dict[str, str]]:
    """Read the status of every mutant: by module, then by the mutant's name."""
    found = {}
    for path in sorted(folder.rglob("*.meta")):
        codes: dict[str, int | None] = json.loads(path.read_text())["exit_code_by_key"]
        if codes:
            module = path.relative_to(folder).with_suffix("").as_posix()
            assert None not in codes.values(), f"{module}: expected every mutant to have been run"
            found[module] = {name: STATUSES.get(code or 0, "stopped") for name, code in codes.items()}
    return found


def table(found: dict[str, dict[str, str]]) -> str:
    """Lay out the score of each module and of all, in Markdown: the share of mutants killed or stopped."""
    lines = [f"| module | mutants | {' | '.join(COLUMNS)} | score |", "| --- " * (len(COLUMNS) + 3) + "|"]
    everything = {name: status for statuses in found.values() for name, status in statuses.items()}
    for module, statuses in [*found.items(), ("all", everything)]:
        counts = Counter(statuses.values())
        row = [module, len(statuses), *(counts[column] for column in COLUMNS)]
        score = (counts["killed"] + counts["stopped"]) / len(statuses)
        lines.append(f"| {' | '.join(map(str, row))} | {score:.1%} |")
    return "\n".join(lines)


def main() -> None:
    """Print the mutants that were not killed, and the table."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    found = results(MUTANTS)
    if not found:
        sys.exit("expected mutants/ of `mutmut run`, found none: run it first")
    for module, statuses in found.items():
        for name, status in statuses.items():
            if status != "killed":
                lines = get_diff_for_mutant(name, path=module).splitlines()
                changed = [line for line in lines if line[:1] in {"+", "-"} and line[:3] not in {"+++", "---"}]
                print(f"{status}: {name}", *changed, sep="\n")
    print(table(found))


if __name__ == "__main__":
    main()
