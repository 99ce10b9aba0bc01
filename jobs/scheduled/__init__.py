"""Jobs of a file: when they are due, what they run, how they ended, who is told.

Nothing here stays up: cron, systemd, Kubernetes or Ray starts `seec jobs run`.
"""
