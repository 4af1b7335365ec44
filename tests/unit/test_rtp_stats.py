"""The numbers of a receiver report, against values worked out by hand from RFC 3550."""

from appliance.rtp.stats import ReceptionStatistics

MS = 1_000_000
S = 1_000_000_000


def test_a_clean_stream_has_no_loss_and_no_jitter() -> None:
    statistics = ReceptionStatistics(7, 48_000)
    for index in range(100):
        statistics.packet(65_500 + index & 0xFFFF, index * 960, index * 20 * MS)
    report = statistics.report(2 * S)
    assert (report.ssrc, report.fraction_lost, report.packets_lost, report.jitter) == (7, 0, 0, 0)
    # One wrap in the upper half.
    assert report.highest_sequence == 0x10000 + 63
    assert (report.lsr, report.dlsr) == (0, 0)


def test_losses_are_counted_in_total_and_as_a_fraction_since_the_last_report() -> None:
    statistics = ReceptionStatistics(7, 48_000)
    for index in range(100):
        if index % 4 != 1:
            statistics.packet(index, index * 960, index * 20 * MS)
    report = statistics.report(2 * S)
    assert (report.fraction_lost, report.packets_lost) == (64, 25)
    for index in range(100, 200):
        statistics.packet(index, index * 960, index * 20 * MS)
    report = statistics.report(4 * S)
    assert (report.fraction_lost, report.packets_lost) == (0, 25)


def test_duplicates_make_the_loss_negative_and_the_fraction_zero() -> None:
    statistics = ReceptionStatistics(7, 48_000)
    for index in range(10):
        statistics.packet(index, index * 960, index * 20 * MS)
        statistics.packet(index, index * 960, index * 20 * MS)
    report = statistics.report(S)
    assert (report.fraction_lost, report.packets_lost) == (0, -10)


def test_jitter_is_smoothed_as_in_the_rfc() -> None:
    statistics = ReceptionStatistics(7, 48_000)
    statistics.packet(0, 0, 0)
    statistics.packet(1, 960, 25 * MS)  # 5 ms late: 240 ticks, of which 1/16 counts
    assert statistics.report(S).jitter == 15
    statistics.packet(2, 1920, 40 * MS)  # on time again: 240 more; 15 + (240 - 15) / 16 = 29
    assert statistics.report(S).jitter == 29


def test_reordered_packets_are_no_loss_and_no_jitter() -> None:
    statistics = ReceptionStatistics(7, 90_000)
    for sequence in (0, 2, 1, 3, 5, 4):
        statistics.packet(sequence, 0, sequence * MS)
    report = statistics.report(S)
    assert (report.packets_lost, report.jitter, report.highest_sequence) == (0, 0, 5)


def test_the_sender_can_compute_the_round_trip() -> None:
    statistics = ReceptionStatistics(7, 48_000)
    statistics.packet(0, 0, 0)
    statistics.sender_report(0x1122_3344_5566_7788, 3 * S)
    report = statistics.report(3 * S + S // 2)
    assert report.lsr == 0x3344_5566
    assert report.dlsr == 0x8000


def test_a_sender_that_starts_anew_loses_nothing() -> None:
    statistics = ReceptionStatistics(7, 48_000)
    for index in range(50):
        statistics.packet(index, index * 960, index * 20 * MS)
    statistics.packet(40_000, 5, S)
    assert statistics.expected == 50
    for index in range(1, 10):
        statistics.packet(40_000 + index, 5 + index * 960, S + index * 20 * MS)
    assert statistics.lost == 0
    assert statistics.received == 9
