"""JavaScript regexes that cannot stall: RE2 where it can, a bounded backtracker for what looks around or back.

Imports nothing of world books; a refused pattern is a value, never an exception.
"""

from tertulia.worldbooks.regexes.pattern import (
    Budget,
    Found,
    Haystack,
    Pattern,
    Refusal,
    Verdict,
    compile_pattern,
)

__all__ = ["Budget", "Found", "Haystack", "Pattern", "Refusal", "Verdict", "compile_pattern"]
