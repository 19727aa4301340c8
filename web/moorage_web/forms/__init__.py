"""Forms from JSON Schema and back: a plugin brings a pydantic model, the page gets fields, a submitted form a config.

`fields` turns a schema (`Model.model_json_schema(by_alias=True)`, or a ProviderType's `schema`) into Field objects that
`components/forms.html` renders; `parse` turns what was submitted into the config that the model validates. A value
that does not fit its type is left as text, so that the model itself says what is wrong with it.

Conventions of a schema: `format: password` is a secret, a field named `model` (with `search_source`) or with
`search: <source>` is a model search, `advanced: true` is folded away, `multiline: true` is a text area, `env` names
the environment variable that may set it.
"""

from moorage_web.forms.fields import Field as Field
from moorage_web.forms.fields import Option as Option
from moorage_web.forms.fields import Secret as Secret
from moorage_web.forms.fields import fields as fields
from moorage_web.forms.fields import unplaced as unplaced
from moorage_web.forms.fields import with_errors as with_errors
from moorage_web.forms.parse import Submitted as Submitted
from moorage_web.forms.parse import parse as parse
