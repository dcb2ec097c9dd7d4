"""Reads `docker compose config --format json` on standard input.

names         the services that are built here
check FOLDER  runs each one's executable with --check, with its container's variables and file;
              fails if one refuses, or has a remark
"""

import json
import subprocess
import sys


def check(name, service, file, folder):
    """What is wrong with a service's configuration; None if nothing is."""
    given = service.get("environment") or {}
    # A variable without a value is absent in the container.
    environment = {key: value for key, value in given.items() if value is not None}
    command = [f"{folder}/chat4all-{name}", "--config", file, "--check"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        return run.stderr
    warnings = json.loads(run.stdout).get("warnings")
    return "\n".join(warnings) if warnings else None


def main():
    """See the module."""
    project = json.load(sys.stdin)
    ours = {name: entry for name, entry in project["services"].items() if "build" in entry}
    if not ours:
        sys.exit("no service is built here")
    if sys.argv[1] == "names":
        print("\n".join(sorted(ours)))
        return
    file = project["configs"]["installation"]["file"]
    wrong = False
    for name, entry in sorted(ours.items()):
        trouble = check(name, entry, file, sys.argv[2])
        print(f"   {name}: {trouble or 'accepted'}")
        wrong = wrong or trouble is not None
    sys.exit(1 if wrong else 0)


main()
