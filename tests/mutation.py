"""What came of `mutmut run`: a score for each module, and the changes that no test noticed, as docs/mutation.md has it.

`python -m tests.mutation` reads the folder `mutants/`.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

MUTANTS = Path("mutants")
STATUSES = {0: "survived", 33: "not reached", None: "not run"}  # mutmut's exit codes; any other is of a failed test


def results(folder: Path) -> dict[str, dict[str, str]]:
    """Status of every mutant by its name, by module."""
    found = {}
    for path in sorted(folder.rglob("*.meta")):
        codes: dict[str, int | None] = json.loads(path.read_text())["exit_code_by_key"]
        if codes:
            module = path.relative_to(folder).with_suffix("").as_posix()
            found[module] = {name: STATUSES.get(code, "killed") for name, code in codes.items()}
    return found


def table(found: dict[str, dict[str, str]]) -> str:
    """The score of each module and of all, in Markdown."""
    lines = ["| module | mutants | killed | survived | not reached | score |", "| --- | --- | --- | --- | --- | --- |"]
    everything = {name: status for statuses in found.values() for name, status in statuses.items()}
    for module, statuses in [*found.items(), ("all", everything)]:
        counts = Counter(statuses.values())
        row = module, len(statuses), counts["killed"], counts["survived"], counts["not reached"]
        lines.append(f"| {' | '.join(map(str, row))} | {counts['killed'] / len(statuses):.1%} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table and the survivors."""
    found = results(MUTANTS)
    if not found:
        sys.exit("expected mutants/, found none: run `mutmut run` first")
    for name, status in (item for statuses in found.values() for item in statuses.items()):
        if status != "killed":
            command = [sys.executable, "-m", "mutmut", "show", name]
            shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            changed = [line for line in shown.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
            print(f"{status}: {name}", *changed, sep="\n")
    print(table(found))


if __name__ == "__main__":
    main()
