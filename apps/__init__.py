"""The demo app: a page in the browser with one tab per solution (`brightspark app`)."""
