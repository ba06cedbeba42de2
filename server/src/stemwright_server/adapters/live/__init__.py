"""How the API's processes tell each other what happens: adapters of ``http.socketio.Channel``."""
