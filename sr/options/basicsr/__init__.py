"""BasicSR's option files, part by part, in our terms; `sr.options.import_basicsr` joins them."""
