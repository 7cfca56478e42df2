"""JSON of flows (schemas `flow-put` and `flow-get`).

* A flow is checked here and stored as given; what the specification leaves open is kept.
* Which technical fields are needed depends on the format; beside a profile there are none.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from marshmallow import (
    INCLUDE,
    Schema,
    ValidationError,
    fields,
    validate,
    validates_schema,
)

from schemas.domain.collections import Collections
from schemas.domain.flow import Flow
from schemas.domain.identifiers import UUID_PATTERN
from schemas.domain.profile import technical
from schemas.domain.timerange import TimeRange
from schemas.http.fields import (
    FORMAT,
    FORMATS,
    MIME_LIKE,
    UUID,
    StrictBoolean,
    StrictInteger,
    TagsField,
    time_text,
)
from schemas.http.queries import STATUSES

_POSITIVE = validate.Range(min=1)
_NOT_NEGATIVE = validate.Range(min=0)
VIDEO, IMAGE, AUDIO, DATA, MULTI = FORMATS
_PACKAGE_UID = validate.Regexp(
    r"^(urn:smpte:umid:[0-9a-fA-F]{8}(.[0-9a-fA-F]{8}){7}|urn:uuid:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}"
    r"-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})\Z",
    error="{input!r} is neither a UMID nor a UUID, as a URN",
)


class _Open(Schema):
    """An object that may hold more than is checked."""

    class Meta:
        """Unknown fields are kept."""

        unknown = INCLUDE


class RateSchema(_Open):
    """A number per second, or of seconds; the denominator is 1 if absent."""

    numerator = StrictInteger(required=True, validate=_POSITIVE)
    denominator = StrictInteger(validate=_POSITIVE)


class RatioSchema(_Open):
    """A ratio."""

    numerator = StrictInteger(required=True, validate=_POSITIVE)
    denominator = StrictInteger(required=True, validate=_POSITIVE)


class AvcSchema(_Open):
    """What a codec string says of AVC."""

    profile = StrictInteger(required=True)
    level = StrictInteger(required=True)
    flags = StrictInteger(required=True)


class UncompressedVideoSchema(_Open):
    """How uncompressed pictures are packed."""

    unc_type = fields.String(
        required=True,
        validate=validate.OneOf(
            [
                *("planar", "YUYV", "UYVY", "AYUV", "v210", "v216", "RGB", "RGBx", "xRGB"),
                *("BGRx", "xBGR", "RGBA", "ARGB", "BGRA", "ABGR", "alpha"),
            ]
        ),
    )


class UncompressedAudioSchema(_Open):
    """How uncompressed channels are packed."""

    unc_type = fields.String(
        required=True, validate=validate.OneOf(["interleaved", "planar", "pairs"])
    )


class AudioCodecSchema(_Open):
    """What a codec string says of audio."""

    coded_frame_size = StrictInteger()
    mp4_oti = StrictInteger()


class VideoEssenceSchema(Schema):
    """Essence parameters of a video flow."""

    frame_width = StrictInteger(required=True, validate=_POSITIVE)
    frame_height = StrictInteger(required=True, validate=_POSITIVE)
    bit_depth = StrictInteger(validate=_POSITIVE)
    interlace_mode = fields.String(
        validate=validate.OneOf(
            ["progressive", "interlaced_tff", "interlaced_bff", "interlaced_psf"]
        )
    )
    colorspace = fields.String(validate=validate.OneOf(["BT601", "BT709", "BT2020", "BT2100"]))
    transfer_characteristic = fields.String(validate=validate.OneOf(["SDR", "HLG", "PQ"]))
    aspect_ratio = fields.Nested(RatioSchema)
    pixel_aspect_ratio = fields.Nested(RatioSchema)
    component_type = fields.String(validate=validate.OneOf(["YCbCr", "RGB"]))
    horiz_chroma_subs = StrictInteger(validate=_POSITIVE)
    vert_chroma_subs = StrictInteger(validate=_POSITIVE)
    unc_parameters = fields.Nested(UncompressedVideoSchema)
    avc_parameters = fields.Nested(AvcSchema)
    frame_rate = fields.Nested(RateSchema)
    vfr = StrictBoolean()
    init_segments = StrictBoolean()

    @validates_schema(skip_on_field_errors=True)
    def rate_fits(self, data: Mapping[str, Any], **_: Any) -> None:
        """A fixed frame rate is stated, a variable one is not."""
        if data.get("vfr") and "frame_rate" in data:
            raise ValidationError("Must not be set when vfr is true.", "frame_rate")
        if not data.get("vfr") and "frame_rate" not in data:
            raise ValidationError("Must be set unless vfr is true.", "frame_rate")


class AudioEssenceSchema(Schema):
    """Essence parameters of an audio flow."""

    sample_rate = StrictInteger(required=True, validate=_POSITIVE)
    channels = StrictInteger(required=True, validate=_POSITIVE)
    bit_depth = StrictInteger(validate=_POSITIVE)
    codec_parameters = fields.Nested(AudioCodecSchema)
    unc_parameters = fields.Nested(UncompressedAudioSchema)
    init_segments = StrictBoolean()


class ImageEssenceSchema(Schema):
    """Essence parameters of an image flow."""

    frame_width = StrictInteger(required=True, validate=_POSITIVE)
    frame_height = StrictInteger(required=True, validate=_POSITIVE)
    aspect_ratio = fields.Nested(RatioSchema)


class DataEssenceSchema(Schema):
    """Essence parameters of a data flow."""

    data_type = fields.String()
    init_segments = StrictBoolean()


class MultiEssenceSchema(Schema):
    """Essence parameters of a multi flow."""

    init_segments = StrictBoolean()


_ESSENCE: Mapping[str, Schema] = {
    VIDEO: VideoEssenceSchema(),
    AUDIO: AudioEssenceSchema(),
    IMAGE: ImageEssenceSchema(),
    DATA: DataEssenceSchema(),
    MULTI: MultiEssenceSchema(),
}


class EssenceField(fields.Dict):
    """Essence parameters of some format; which, the flow tells."""

    alternatives: ClassVar[Sequence[Schema]] = tuple(_ESSENCE.values())


class AudioTrackSchema(_Open):
    """Which channels of an audio track are those of the flow."""

    channel_numbers = fields.List(
        StrictInteger(validate=_NOT_NEGATIVE), validate=validate.Length(min=1)
    )
    channel_range = fields.String(validate=validate.Regexp(r"^[0-9]+_[0-9]+\Z"))


class TransportStreamSchema(_Open):
    """Where the essence is in an MPEG-2 transport stream."""

    pid = StrictInteger()


class MxfSchema(_Open):
    """Where the essence is in an MXF file."""

    package_uid = fields.String(validate=_PACKAGE_UID)
    track_id = StrictInteger()


class IsobmffSchema(_Open):
    """Where the essence is in a file of the MP4 family."""

    track_id = StrictInteger()


class ContainerMappingSchema(_Open):
    """Where in the container the essence is."""

    track_index = StrictInteger(validate=_NOT_NEGATIVE)
    format_track_index = StrictInteger(validate=_NOT_NEGATIVE)
    audio_track = fields.Nested(AudioTrackSchema)
    mp2ts_container = fields.Nested(TransportStreamSchema)
    mxf_container = fields.Nested(MxfSchema)
    isobmff_container = fields.Nested(IsobmffSchema)


class CollectionItemSchema(_Open):
    """A flow that is collected, and its part in the collection."""

    id = fields.String(required=True, validate=UUID)
    role = fields.String()
    container_mapping = fields.Nested(ContainerMappingSchema)


class TechnicalSchema(_Open):
    """The technical fields of a flow, which a profile can hold for many."""

    format = fields.String(required=True, validate=FORMAT)
    codec = fields.String(validate=MIME_LIKE)
    container = fields.String(validate=MIME_LIKE)
    avg_bit_rate = StrictInteger(validate=_NOT_NEGATIVE)
    segment_duration = fields.Nested(RateSchema)
    container_mapping = fields.Nested(ContainerMappingSchema)
    essence_parameters = EssenceField()

    @validates_schema(skip_on_field_errors=True)
    def fits_format(self, data: Mapping[str, Any], **_: Any) -> None:
        """The technical fields are those of the format."""
        if data["format"] != MULTI:
            for name in ("codec", "essence_parameters"):
                if name not in data:
                    raise ValidationError(f"Must be set for {data['format']}.", name)
        if "essence_parameters" in data:
            try:
                _ESSENCE[data["format"]].load(data["essence_parameters"])
            except ValidationError as error:
                raise ValidationError({"essence_parameters": error.messages}) from error


class FlowSchema(TechnicalSchema):
    """A flow as a client puts it."""

    id = fields.String(required=True, validate=UUID)
    source_id = fields.String(required=True, validate=UUID)
    profile_id = fields.String(
        validate=validate.Regexp(rf"^({UUID_PATTERN})?\Z", error="{input!r} is not a UUID"),
        metadata={
            "description": "The profile that has the technical fields, none of which may then be "
            "given. Empty unlinks a flow; without technical fields it keeps those it has."
        },
    )
    format = fields.String(
        validate=FORMAT, metadata={"description": "Required, unless there is a `profile_id`."}
    )
    label = fields.String()
    description = fields.String()
    created_by = fields.String()
    updated_by = fields.String()
    tags = TagsField()
    metadata_version = fields.String()
    generation = StrictInteger(validate=_NOT_NEGATIVE)
    status = fields.String(validate=validate.OneOf(STATUSES))
    read_only = StrictBoolean()
    max_bit_rate = StrictInteger(validate=_NOT_NEGATIVE)
    flow_collection = fields.List(fields.Nested(CollectionItemSchema))

    @validates_schema(skip_on_field_errors=True)
    def fits_format(self, data: Mapping[str, Any], **hints: Any) -> None:
        """The technical fields are those of the format, or of a profile."""
        profile_id, given = data.get("profile_id"), technical(data)
        if profile_id:
            if given:
                raise ValidationError(
                    {name: ["Must not be set beside a profile_id."] for name in given}
                )
        elif profile_id is None or given:
            if "format" not in data:
                raise ValidationError("Must be set unless there is a profile_id.", "format")
            super().fits_format(data, **hints)


class FlowGetSchema(FlowSchema):
    """A flow as the store gives it; documents what `flow_json` writes."""

    profile_id = fields.String(validate=UUID)
    format = fields.String(required=True, validate=FORMAT)
    created = fields.DateTime()
    metadata_updated = fields.DateTime()
    segments_updated = fields.DateTime()
    timerange = fields.String()
    collected_by = fields.List(fields.String())


def flow_json(
    flow: Flow, collections: Collections, timerange: TimeRange | None = None
) -> dict[str, Any]:
    """The JSON of a flow; `timerange` is included when given."""
    payload = {
        "id": flow.id,
        **flow.document,
        "created_by": flow.created_by,
        "updated_by": flow.updated_by,
        "created": time_text(flow.created),
        "metadata_updated": time_text(flow.metadata_updated),
        "metadata_version": flow.metadata_version,
    }
    if flow.segments_updated is not None:
        payload["segments_updated"] = time_text(flow.segments_updated)
    if collectors := collections.flows_collected_by.get(flow.id):
        payload["collected_by"] = list(collectors)
    if timerange is not None:
        payload["timerange"] = str(timerange)
    return payload
