"""The lab: a page in the browser, served from this machine to this machine alone."""
