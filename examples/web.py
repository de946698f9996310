"""Answer HTTP requests: an image's bytes in, JSON out.

Usage: flask --app 'web:create_app("model.onnx")' run    (needs `pip install 'softmax-kit[image]' flask`)
Then:  curl --data-binary @image.png localhost:5000
"""

from typing import Any

from flask import Flask, request

import runtime


def create_app(model: str) -> Flask:
    """Make the application; its one classifier serves all requests and threads."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 8 * 2**20  # bytes; a larger body is answered with status 413
    classifier = runtime.load(model)

    @app.post("/")
    def classify() -> tuple[dict[str, Any], int]:
        try:
            prediction = classifier.classify(request.get_data(cache=False))
        except runtime.InputError as error:
            return {"error": str(error)}, 400
        return {"label": prediction.label, "probability": prediction.probability, "index": prediction.index}, 200

    return app
