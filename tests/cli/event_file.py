"""Reads TensorBoard's event files: records with masked CRC-32C around protobuf messages. Written from the formats'
descriptions and not from what writes them here."""
import struct


def _table():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


TABLE = list(_table())


def masked_crc(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    """The messages; ValueError where a sum or a length is wrong."""
    while data:
        if len(data) < 16:
            raise ValueError("cut off")
        length, length_crc = struct.unpack("<QI", data[:12])
        if masked_crc(data[:8]) != length_crc:
            raise ValueError("sum of a length")
        message = data[12:12 + length]
        if len(message) < length or masked_crc(message) != struct.unpack("<I", data[12 + length:16 + length])[0]:
            raise ValueError("sum of a message")
        yield message
        data = data[16 + length:]


def fields(message):
    """(number, value) of a protobuf message: integers, bytes, and fixed-size ones as bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                return value
    while at < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(key & 7) or varint()
        if at + size > len(message):
            raise ValueError("cut off")
        yield key >> 3, message[at:at + size]
        at += size


def scalars(path):
    """[(wall time, step, {tag: value})], and the version the file begins with."""
    with open(path, "rb") as file:
        messages = list(records(file.read()))
    first, out = dict(fields(messages[0])), []
    for message in messages[1:]:
        event = dict(fields(message))  # Event: 1 wall_time, 2 step, 5 summary
        values = {}
        for number, value in fields(event[5]):  # Summary: 1 value, again and again
            scalar = dict(fields(value))  # Value: 1 tag, 2 simple_value
            assert number == 1
            values[scalar[1].decode()] = struct.unpack("<f", scalar[2])[0]
        out.append((struct.unpack("<d", event[1])[0], event.get(2, 0), values))
    return first[3].decode(), out
