"""How an archive stands: sizes, growth, and how long ago each part was checked."""
