"""The language of filters, which say what devices a dynamic group has; `store/filters.py` turns them into SQL.

    class == "esp32" and tag.site in ("b1", "b2") and version < "1.4"

Comparisons `==` `!=` `<` `<=` `>` `>=`, `in (...)`, `not in (...)`, `like "bench-*"` (`*` is any text, `?` any character),
`has tag.site`, a flag by itself (`late`), `and`, `or`, `not`, parentheses. Fields are in `fields.py`.

A device that lacks a value matches no comparison of it, `!=` and `not in` too: without the tag, `tag.site != "b1"` is
false, and `not (tag.site == "b1")` is true. Refuses what isn't of the language, with the character where it ends to be.

    expression = parse('not late and silent_for > "3d"')
"""

from pawl_server.filters.errors import FilterError
from pawl_server.filters.evaluation import matches
from pawl_server.filters.expressions import Expression
from pawl_server.filters.parsing import parse
from pawl_server.filters.writing import normal

__all__ = ["Expression", "FilterError", "matches", "normal", "parse"]
