"""What makes people rely on a model and on what it made.

card.py        what is known of a model: source, digests, licence, data, figures, limits
card_text.py   what a card written by others says, found by its headings and front matter
seal.py        a digest of a file within the file
provenance.py  what a file says of where it came from
verify.py      whether files are what a run wrote
screens.py     what looks at results before they are written
licences.py    what a licence allows
"""
