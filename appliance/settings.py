"""The one declaration of every setting: kind, limits, default, and its words in Vietnamese and English. No I/O."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

Language = Literal["vi", "en"]
Tier = Literal["tinh", "huyen", "xa", "phuong", "dac-khu"]


# Stands for a secret wherever settings are shown.
MASK = "********"


def words(vi: str, en: str, unit: str | None = None, form: str | None = None) -> dict[str, Any]:
    """What a form says of a setting: its label in both languages, its unit, and the form that its text must have.

    Goes into the JSON schema as `x-…`.
    """
    extra: dict[str, Any] = {"x-label": {"vi": vi, "en": en}}
    if unit:
        extra["x-unit"] = unit
    if form:
        extra["x-form"] = form
    return extra


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must not contain control characters")
    return value


def _none_when_empty(value: object) -> object:
    """TOML has no null: an empty text takes back what the image defaults set."""
    return None if value == "" else value


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or not value.isprintable() or " " in value:
        raise ValueError("must be an address like https://mcu.example.vn/whip/room")
    if parts.username or parts.password:
        raise ValueError("must not carry a user name or password; put the token in 'token'")
    try:
        parts.hostname.encode("idna")
    except UnicodeError as error:
        raise ValueError("has no possible host name; look for two dots in a row or a very long part") from error
    _ = parts.port  # raises ValueError beyond 65535
    return value


def _ice_url(value: str) -> str:
    """What the ICE agent can use of RFC 7064 and RFC 7065; with anything else no join could ever work."""
    scheme, _, rest = value.partition(":")
    host, _, transport = rest.partition("?transport=")
    if scheme == "stuns":
        raise ValueError("is STUN over TLS, which is not supported; use stun: or turns:")
    if scheme == "turns" and transport == "udp":
        raise ValueError("is TURN over DTLS, which is not supported; turns: goes over tcp")
    if scheme == "stun" and transport:
        raise ValueError("must not name a transport: stun: goes over udp")
    if host.startswith("["):
        raise ValueError("must name the server: an IPv6 address cannot be used here")
    name, _, port = host.partition(":")
    if ".." in name or name.startswith(".") or len(name) > 253 or max(map(len, name.split("."))) > 63:
        raise ValueError("has no possible host name; look for two dots in a row or a very long part")
    if port and not 1 <= int(port) <= 65535:
        raise ValueError("the port must be 1 … 65535")
    return value


def _listen(value: str) -> str:
    if int(value.rpartition(":")[2]) > 65535:
        raise ValueError("the port must be 0 … 65535")
    return value


def _bearer(value: SecretStr | None) -> SecretStr | None:
    """RFC 6750 section 2.1; anything else would break the HTTP header it travels in."""
    if value is not None and not re.fullmatch(r"[A-Za-z0-9._~+/=-]{1,4096}", value.get_secret_value()):
        raise ValueError("must be 1 … 4096 letters, digits or -._~+/= (without the word 'Bearer')")
    return value


def _credential(value: SecretStr | None) -> SecretStr | None:
    if value is not None and value.get_secret_value() == MASK:
        raise ValueError("is the mask that stands for a secret, not a secret")
    if value is not None and not (len(value.get_secret_value()) <= 512 and value.get_secret_value().isprintable()):
        raise ValueError("must be at most 512 printable characters")
    return value


Text = Annotated[str, AfterValidator(_printable)]
OptionalText = Annotated[Text | None, BeforeValidator(_none_when_empty)]
HttpUrl = Annotated[str, Field(max_length=2048), AfterValidator(_http_url)]
BearerToken = Annotated[SecretStr | None, BeforeValidator(_none_when_empty), AfterValidator(_bearer)]
Credential = Annotated[SecretStr | None, BeforeValidator(_none_when_empty), AfterValidator(_credential)]
Pin = Annotated[int, Field(ge=0, le=27)]


class _Section(BaseModel):
    # strict: TOML tells a number from a text, and `fps = "30"` or `volume_percent = true` is a slip to be told of.
    # hide_input_in_errors: a message of pydantic must not carry a secret into a log.
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, str_strip_whitespace=True, hide_input_in_errors=True
    )


class Unit(_Section):
    """Who this bridge point is."""

    name: Text = Field(
        "Điểm cầu", min_length=1, max_length=64, json_schema_extra=words("Tên điểm cầu", "Bridge point name")
    )
    tier: Tier = Field("xa", json_schema_extra=words("Cấp", "Tier"))
    language: Language = Field("vi", json_schema_extra=words("Ngôn ngữ", "Language"))


class Video(_Section):
    """Camera and encoder."""

    source: Literal["testcard", "file", "v4l2"] = Field("v4l2", json_schema_extra=words("Nguồn hình", "Picture source"))
    device: Text = Field("/dev/video0", max_length=255, json_schema_extra=words("Thiết bị camera", "Camera device"))
    file: OptionalText = Field(None, max_length=4096, json_schema_extra=words("Tệp video", "Video file"))
    width: int = Field(1280, ge=160, le=1920, multiple_of=2, json_schema_extra=words("Chiều rộng", "Width", "px"))
    height: int = Field(720, ge=90, le=1080, multiple_of=2, json_schema_extra=words("Chiều cao", "Height", "px"))
    fps: int = Field(30, ge=5, le=60, json_schema_extra=words("Số hình mỗi giây", "Frame rate", "fps"))
    bitrate_kbps: int = Field(2000, ge=64, le=8000, json_schema_extra=words("Tốc độ bit", "Bit rate", "kbit/s"))
    keyframe_interval_s: int = Field(
        10, ge=1, le=60, json_schema_extra=words("Chu kỳ khung hình chính", "Keyframe interval", "s")
    )
    time_code: bool = Field(False, json_schema_extra=words("In mã thời gian lên hình", "Burn in the time code"))

    @model_validator(mode="after")
    def _file_is_named(self) -> "Video":
        if self.source == "file" and not self.file:
            raise ValueError("'file' must name the footage when source is 'file'")
        return self


class Audio(_Section):
    """Microphone and speaker."""

    source: Literal["tone", "file", "alsa"] = Field("alsa", json_schema_extra=words("Nguồn tiếng", "Sound source"))
    input_device: Text = Field("default", max_length=255, json_schema_extra=words("Micrô", "Microphone"))
    input_file: OptionalText = Field(None, max_length=4096, json_schema_extra=words("Tệp tiếng", "Sound file"))
    sink: Literal["alsa", "null", "file"] = Field("alsa", json_schema_extra=words("Đầu ra tiếng", "Sound output"))
    output_device: Text = Field("default", max_length=255, json_schema_extra=words("Loa", "Speaker"))
    output_file: OptionalText = Field(
        None, max_length=4096, json_schema_extra=words("Tệp ghi tiếng", "WAV file written")
    )
    volume_percent: int = Field(80, ge=0, le=100, json_schema_extra=words("Âm lượng", "Volume", "%"))
    join_muted: bool = Field(True, json_schema_extra=words("Tắt micrô khi vào họp", "Join with the microphone muted"))

    @model_validator(mode="after")
    def _files_are_named(self) -> "Audio":
        if self.source == "file" and not self.input_file:
            raise ValueError("'input_file' must name the sound when source is 'file'")
        if self.sink == "file" and not self.output_file:
            raise ValueError("'output_file' must name the WAV file when sink is 'file'")
        return self


class Screen(_Section):
    """What the room sees."""

    sink: Literal["sdl", "headless"] = Field("sdl", json_schema_extra=words("Màn hình", "Screen"))
    fullscreen: bool = Field(True, json_schema_extra=words("Toàn màn hình", "Full screen"))


class IceServer(_Section):
    """One STUN or TURN server (RFC 7064, RFC 7065)."""

    url: Annotated[str, AfterValidator(_ice_url)] = Field(
        pattern=r"^(stun|stuns|turn|turns):(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?(\?transport=(udp|tcp))?$",
        max_length=255,
        json_schema_extra=words("Địa chỉ", "Address", form="turn:turn.example.vn:3478?transport=tcp"),
    )
    username: OptionalText = Field(None, max_length=255, json_schema_extra=words("Tên đăng nhập", "User name"))
    credential: Credential = Field(None, json_schema_extra=words("Mật khẩu", "Credential"))

    @model_validator(mode="after")
    def _turn_has_credentials(self) -> "IceServer":
        if self.url.startswith("turn") and not (self.username and self.credential):
            raise ValueError("a TURN server needs 'username' and 'credential'")
        return self


class Network(_Section):
    """How media finds its way through firewalls."""

    ice_servers: tuple[IceServer, ...] = Field(
        (), strict=False, max_length=4, json_schema_extra=words("Máy chủ STUN/TURN", "STUN/TURN servers")
    )
    relay_only: bool = Field(False, json_schema_extra=words("Chỉ đi qua TURN", "Relay (TURN) only"))

    @model_validator(mode="after")
    def _relay_exists(self) -> "Network":
        if self.relay_only and not any(server.url.startswith("turn") for server in self.ice_servers):
            raise ValueError("relay_only needs a TURN server under [[network.ice_servers]]")
        return self


class Meeting(_Section):
    """One meeting this unit may join. `whip`: send over WHIP (RFC 9725), receive over WHEP."""

    id: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,31}$",
        json_schema_extra=words(
            "Mã cuộc họp", "Meeting id", form="giao-ban-2: small letters, digits, hyphens; at most 32"
        ),
    )
    name: Text = Field(min_length=1, max_length=64, json_schema_extra=words("Tên cuộc họp", "Meeting name"))
    kind: Literal["whip"] = Field("whip", json_schema_extra=words("Giao thức", "Protocol"))
    send_url: HttpUrl = Field(json_schema_extra=words("Địa chỉ gửi (WHIP)", "Send address (WHIP)"))
    receive_url: HttpUrl = Field(json_schema_extra=words("Địa chỉ nhận (WHEP)", "Receive address (WHEP)"))
    token: BearerToken = Field(None, json_schema_extra=words("Mã truy cập", "Bearer token"))
    ca_file: OptionalText = Field(
        None, max_length=4096, json_schema_extra=words("Tệp chứng thư CA", "CA certificate file")
    )
    allow_http: bool = Field(
        False, json_schema_extra=words("Cho phép HTTP (phòng thử)", "Allow plain HTTP (laboratory)")
    )
    token_hosts: tuple[Annotated[Text, Field(min_length=1, max_length=255)], ...] = Field(
        (),
        strict=False,
        max_length=8,
        json_schema_extra=words("Máy chủ khác được nhận mã truy cập", "Other hosts that may be given the token"),
    )

    @model_validator(mode="after")
    def _https_or_lab(self) -> "Meeting":
        for url in (self.send_url, self.receive_url):
            if url.startswith("http:") and not self.allow_http:
                raise ValueError("plain http needs allow_http = true (laboratory only)")
        return self


class Board(_Section):
    """Buttons and lights: BCM pin numbers."""

    enabled: bool = Field(True, json_schema_extra=words("Dùng nút và đèn", "Use buttons and lights"))
    start_button: Pin = Field(17, json_schema_extra=words("Chân nút START/STOP", "START/STOP button pin"))
    mute_button: Pin = Field(27, json_schema_extra=words("Chân nút MUTE", "MUTE button pin"))
    status_light: Pin = Field(22, json_schema_extra=words("Chân đèn trạng thái", "Status light pin"))
    on_air_light: Pin = Field(23, json_schema_extra=words("Chân đèn đang phát", "On-air light pin"))
    mute_light: Pin = Field(24, json_schema_extra=words("Chân đèn tắt micrô", "Mute light pin"))

    @model_validator(mode="after")
    def _pins_differ(self) -> "Board":
        pins = [self.start_button, self.mute_button, self.status_light, self.on_air_light, self.mute_light]
        if len(set(pins)) != len(pins):
            raise ValueError("two parts are given the same pin")
        return self


class Panel(_Section):
    """The web panel."""

    enabled: bool = Field(True, json_schema_extra=words("Bật trang quản trị", "Run the web panel"))
    listen: Annotated[str, AfterValidator(_listen)] = Field(
        "127.0.0.1:8088",
        pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}$",
        json_schema_extra=words("Địa chỉ trang quản trị", "Panel address", form="127.0.0.1:8088"),
    )


class Settings(_Section):
    """Every setting of a unit."""

    unit: Unit = Unit()
    video: Video = Video()
    audio: Audio = Audio()
    screen: Screen = Screen()
    network: Network = Network()
    meetings: tuple[Meeting, ...] = Field((), strict=False, max_length=32)
    board: Board = Board()
    panel: Panel = Panel()

    @model_validator(mode="after")
    def _meeting_ids_differ(self) -> "Settings":
        ids = [meeting.id for meeting in self.meetings]
        if len(set(ids)) != len(ids):
            raise ValueError("two meetings have the same id")
        return self
