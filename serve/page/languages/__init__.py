"""What the page says, a language a module: its name is the code in `?lang=`, its `html_lang` the locale of its numbers.

`serve.page.language` finds the modules by itself; none has to be listed anywhere.
"""
