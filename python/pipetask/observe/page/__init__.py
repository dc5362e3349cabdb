"""One page that explains a run: HTML that needs no network and no other file.

Python computes, and the page shows.  Tables and charts are in the page as HTML and SVG, and need no JavaScript.  The
script adds a timeline that can be zoomed, and a table of all quanta.  Text from outside is always text.
"""
