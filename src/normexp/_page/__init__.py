"""Pages: HTML and SVG with nothing to load and no scripts, for the commands that write one (``--html``)."""
