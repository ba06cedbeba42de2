"""The page for people: its built files. What it does, it does through the webserver's API."""
