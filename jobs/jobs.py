"""Jobs of a file, run by what people already have: `seec jobs COMMAND`."""

from seec.jobs.interface import group

main = group(
    "jobs",
    "seec.jobs.scheduled",
    {
        "check": "Check a jobs file.",
        "run": "Run the jobs that are due.",
        "list": "List the jobs, and how each stands.",
        "install": "Have cron, systemd, Kubernetes or Ray run the jobs.",
        "schema": "Print the JSON Schema of jobs files.",
    },
    help_text="Archive, verify and clean up by a schedule, as one TOML file says.\n\nNothing stays "
    "up: cron, systemd, Kubernetes or Ray starts `seec jobs run`.",
    examples=["seec jobs check jobs.toml", "seec jobs run jobs.toml", "seec jobs list jobs.toml"],
)

if __name__ == "__main__":
    main()
