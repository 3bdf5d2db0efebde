// Excerpts beside search results are fetched, which browsers refuse to a page opened from disk.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
