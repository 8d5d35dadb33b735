"""The documentation of the HTTP API as one plain page; it loads nothing from elsewhere."""

from typing import Any

from jinja2 import Environment

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ api.info.title }} {{ api.info.version }}</title>
<link rel="stylesheet" href="docs.css">
</head>
<body>
<h1>{{ api.info.title }} <small>{{ api.info.version }}</small></h1>
<p>{{ api.info.summary }} The same for programs: <a href="openapi.json">openapi.json</a>.</p>
<pre><code>curl --data-binary @cat.jpg {{ address }}/v1/predict
curl -F pictures=@cat.jpg -F pictures=@dog.jpg '{{ address }}/v1/predict?look=true'</code></pre>
{% for path, methods in api.paths.items() %}{% for method, endpoint in methods.items() %}
<section>
<h2><code>{{ method | upper }} {{ path }}</code> {{ endpoint.summary }}</h2>
<p>{{ endpoint.description }}</p>
{% if endpoint.parameters %}<dl>{% for parameter in endpoint.parameters %}
<dt><code>?{{ parameter.name }}</code></dt><dd>{{ parameter.description }}</dd>{% endfor %}
</dl>{% endif %}
<dl>{% for status, response in endpoint.responses.items() %}
<dt><code>{{ status }}</code></dt><dd>{{ response.description }}</dd>{% endfor %}
</dl>
</section>
{% endfor %}{% endfor %}
<h2>Shapes</h2>
{% for name, shape in api.components.schemas.items() if shape.properties and shape.description %}
<section>
<h3>{{ name }}</h3>
<p>{{ shape.description }}</p>
<dl>{% for field, value in shape.properties.items() %}
<dt><code>{{ field }}</code></dt><dd>{{ value.description or "" }}</dd>{% endfor %}
</dl>
</section>
{% endfor %}
</body>
</html>
"""
_TEMPLATE = Environment(autoescape=True, trim_blocks=True).from_string(_PAGE)


def docs_page(api: dict[str, Any], address: str) -> str:
    """Return the page of an OpenAPI description.

    Args:
        api: The description.
        address: Of the server, as the reader of the page reaches it.
    """
    return _TEMPLATE.render(api=api, address=address)
