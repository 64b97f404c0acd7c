"""Pure rendering: settings and partners in, the text of files and records out. No effects."""
