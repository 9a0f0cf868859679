"""Our minimal protos against Envoy's complete ones: the same numbers, names and types, and the same bytes."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from envoy.service.ext_proc.v3 import external_processor_pb2 as envoy
from google.protobuf import struct_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2 as grpc_health
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.wire import ext_proc_pb2, health_pb2

ROOTS = (
    (ext_proc_pb2.ProcessingRequest.DESCRIPTOR, envoy.ProcessingRequest.DESCRIPTOR),
    (ext_proc_pb2.ProcessingResponse.DESCRIPTOR, envoy.ProcessingResponse.DESCRIPTOR),
    (health_pb2.HealthCheckRequest.DESCRIPTOR, grpc_health.HealthCheckRequest.DESCRIPTOR),
    (health_pb2.HealthCheckResponse.DESCRIPTOR, grpc_health.HealthCheckResponse.DESCRIPTOR),
    (health_pb2.HealthListRequest.DESCRIPTOR, grpc_health.HealthListRequest.DESCRIPTOR),
    (health_pb2.HealthListResponse.DESCRIPTOR, grpc_health.HealthListResponse.DESCRIPTOR),
)

# Envoy's HttpStatus.code is an enum of HTTP statuses; ours is the number, which is the same on the wire.
LOOSER = {"epp.wire.HttpStatus.code"}


def reachable(ours: Descriptor, theirs: Descriptor) -> Iterator[tuple[Descriptor, Descriptor]]:
    """Each of our messages beneath this one, with the message that stands in its place in Envoy's."""
    seen = set()
    queue = [(ours, theirs)]
    while queue:
        pair = queue.pop()
        if pair[0].full_name in seen or pair[0].full_name.startswith("google."):
            continue
        seen.add(pair[0].full_name)
        yield pair
        for field in pair[0].fields:
            other = pair[1].fields_by_number.get(field.number)
            if field.message_type and other and other.message_type:
                queue.append((field.message_type, other.message_type))


PAIRS = {ours.full_name: (ours, theirs) for root in ROOTS for ours, theirs in reachable(*root)}


def test_every_message_of_ours_is_compared() -> None:
    declared = {
        message.full_name
        for module in (ext_proc_pb2, health_pb2)
        for message in module.DESCRIPTOR.message_types_by_name.values()
    }
    assert declared <= PAIRS.keys()


def _shape(field: FieldDescriptor) -> tuple[Any, ...]:
    oneof = field.containing_oneof.name if field.containing_oneof else None
    type_ = FieldDescriptor.TYPE_INT32 if field.full_name in LOOSER else field.type
    return field.name, type_, field.is_repeated, field.has_presence, oneof


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_fields_have_the_number_name_and_type(name: str) -> None:
    ours, theirs = PAIRS[name]
    for field in ours.fields:
        other = theirs.fields_by_number[field.number]
        if field.full_name in LOOSER:
            assert (field.name, field.type, other.type) == (
                other.name,
                FieldDescriptor.TYPE_INT32,
                FieldDescriptor.TYPE_ENUM,
            )
            continue
        assert _shape(field) == _shape(other)
        if field.enum_type:
            assert _values(field.enum_type) == _values(other.enum_type)
        if field.message_type and field.message_type.full_name.startswith("google."):
            assert field.message_type is other.message_type


def _values(enum: EnumDescriptor) -> dict[str, int]:
    return {value.name: value.number for value in enum.values}


# Random messages of any type, from its descriptor: every field of every message may be there or not.
# Hypothesis gives the seed only: drawn by it field by field, most messages are empty, the rest take seconds.

SCALARS: dict[int, Callable[[Random], Any]] = {
    FieldDescriptor.TYPE_STRING: lambda rng: rng.choice(("", "x", "é\U0001f642", "x" * 200)),
    FieldDescriptor.TYPE_BYTES: lambda rng: rng.randbytes(rng.choice((0, 1, 8, 300))),
    FieldDescriptor.TYPE_BOOL: lambda rng: rng.random() < 0.5,
    FieldDescriptor.TYPE_INT32: lambda rng: rng.randint(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: lambda rng: rng.randrange(2**32),
    FieldDescriptor.TYPE_INT64: lambda rng: rng.randint(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: lambda rng: rng.randrange(2**64),
    FieldDescriptor.TYPE_DOUBLE: lambda rng: rng.choice((0.0, -0.0, 1e300, -1.5, float("inf"))),
}
SEEDS = st.integers(0, 2**64)
MAX_DEPTH = 9  # past the deepest of our own leaves, the strings in a list in dynamic_metadata


def random_message(rng: Random, descriptor: Descriptor, depth: int = 0) -> Message:
    message: Any = GetMessageClass(descriptor)()
    fields = [field for field in descriptor.fields if field.message_type is None or depth < MAX_DEPTH]
    for field in rng.sample(fields, rng.randint(min(1, len(fields)), min(4, len(fields)))):
        for _ in range(rng.randint(1, 2) if field.is_repeated else 1):
            _set(message, field, _random_value(rng, field, depth))
    return message  # type: ignore[no-any-return]


def _random_value(rng: Random, field: FieldDescriptor, depth: int) -> Any:
    if field.message_type:
        return random_message(rng, field.message_type, depth + 1)
    if field.enum_type:
        return rng.choice(field.enum_type.values).number
    return SCALARS[field.type](rng)


def _set(message: Any, field: FieldDescriptor, value: Any) -> None:
    target = getattr(message, field.name)
    if field.message_type and field.message_type.GetOptions().map_entry:
        if isinstance(value.value, Message):
            target[value.key].CopyFrom(value.value)
        else:
            target[value.key] = value.value
    elif field.is_repeated:
        target.append(value)
    elif field.message_type:
        target.CopyFrom(value)
    else:
        setattr(message, field.name, value)


def assert_same_where_known(ours: Any, theirs: Any) -> None:
    """Every field of `ours` reads the same in `theirs`."""
    for field in ours.DESCRIPTOR.fields:
        mine, yours = getattr(ours, field.name), getattr(theirs, field.name)
        if field.has_presence:
            assert ours.HasField(field.name) == theirs.HasField(field.name)
        if (
            field.message_type is None
            or field.message_type is theirs.DESCRIPTOR.fields_by_name[field.name].message_type
        ):
            assert mine == yours
        elif field.message_type.GetOptions().map_entry:
            assert mine.keys() == yours.keys()
            for key in mine:
                _assert_item(mine[key], yours[key])
        elif field.is_repeated:
            assert len(mine) == len(yours)
            for left, right in zip(mine, yours, strict=True):
                assert_same_where_known(left, right)
        else:
            assert_same_where_known(mine, yours)


def _assert_item(mine: Any, yours: Any) -> None:
    if isinstance(mine, struct_pb2.Struct):
        assert mine == yours
    else:
        assert_same_where_known(mine, yours)


@pytest.mark.parametrize(("ours", "theirs"), ROOTS, ids=[ours.name for ours, _ in ROOTS])
def test_what_we_write_they_read(ours: Descriptor, theirs: Descriptor) -> None:
    @settings(max_examples=500)
    @given(SEEDS)
    def check(seed: int) -> None:
        message = random_message(Random(seed), ours)
        read = GetMessageClass(theirs).FromString(message.SerializeToString())
        assert_same_where_known(message, read)
        assert GetMessageClass(ours).FromString(read.SerializeToString()) == message

    check()


@pytest.mark.parametrize(("ours", "theirs"), ROOTS, ids=[ours.name for ours, _ in ROOTS])
def test_what_they_write_we_read_and_keep(ours: Descriptor, theirs: Descriptor) -> None:
    """Fields that ours do not have are unknown ones: skipped, and still there when written again."""

    @settings(max_examples=500)
    @given(SEEDS)
    def check(seed: int) -> None:
        message = random_message(Random(seed), theirs)
        read = GetMessageClass(ours).FromString(message.SerializeToString())
        assert_same_where_known(read, message)
        assert GetMessageClass(theirs).FromString(read.SerializeToString()) == message

    check()
