"""What a path of a source may be, beside what cannot be archived at all."""

FILE = "file"
LINK = "link"  # symbolic; its content is where it points to
DIRECTORY = "directory"
KINDS = (FILE, LINK, DIRECTORY)

# Owner, group and others, with set-user-ID, set-group-ID and the sticky bit.
PERMISSION_BITS = 0o7777
