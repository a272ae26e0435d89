"""The packer that knows pydantic's models by itself, where it is installed: ``pip install 'cqrsbus[fast]'``.

It is given nothing but models that are written as their instances hold them (see plain_model.py), and writes of those
the same bytes as the other one does.
"""

try:
    import ormsgpack
except ImportError:

    def fast_packed(value: object) -> bytes | None:
        """Return None: it is not installed."""
        return None

else:
    _pack = ormsgpack.packb
    _OF_MODELS = ormsgpack.OPT_SERIALIZE_PYDANTIC
    _Refused = ormsgpack.MsgpackEncodeError

    def fast_packed(value: object) -> bytes | None:
        """Return a plain model as msgpack; None if the other packer is to do it, or to say why it cannot be done.

        Args:
            value: The model.
        """
        try:
            return _pack(value, None, _OF_MODELS)
        except _Refused:
            return None
