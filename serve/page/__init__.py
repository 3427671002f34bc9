"""The web page: server-rendered, in English and Portuguese, with one small script."""
