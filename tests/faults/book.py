"""The book of faults: what is done, what must be true after it, and which tests hold it.

To add one: a line ``held("30", "the fault", "what must hold", "tests/room/test_x.py::test_fact")``
in ``BOOK``, in the order of the page. Its tests are run as pytest runs them, and the figures of its
row are what they record with pytest's ``record_property(name, number)``; of a figure that several
record, the largest. Then ``python -m tests.faults --only 30 --write docs/faults.md`` adds the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults import scenarios
from tests.faults.running import run_tests

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.outcome import Outcome


@dataclass(frozen=True)
class Scenario:
    """A fault, what must be true after it, and the files or the command that hold it.

    ``run(quick)`` does it; quick ones are smaller, and their bar is the same.
    """

    number: str
    fault: str
    bar: str
    held_by: tuple[str, ...]
    run: Callable[[bool], Outcome]


def held(number: str, fault: str, bar: str, *tests: str) -> Scenario:
    """Return the scenario that ``tests`` are, node ids as pytest takes them."""
    files = tuple(dict.fromkeys(test.partition("::")[0] for test in tests))
    return Scenario(number, fault, bar, files, run_tests(*tests))


_FAILURES, _LIMITS = "tests/worker/test_failures.py::test_", "tests/worker/test_limits.py::test_"
_GUARDS = "tests/wire/test_guards.py::test_"
_PARKED = "tests/e2e/test_parked.py::test_"
_STRUCK = "tests/hosts/test_struck.py::test_"
_APPLIED = "tests/sync/test_apply.py::test_"
_FOUND = "tests/cluster"
_F = "tests/faults"
BOOK = (
    Scenario(
        "1",
        "`kill -9` of workers, at random",
        "re-runs at most what was leased at the kills",
        (f"{_F}/test_kills.py",),
        scenarios.worker_kills,
    ),
    Scenario(
        "2",
        "25 `kill -9` of the head",
        "the epoch grows by 25",
        (f"{_F}/test_head_kills.py",),
        scenarios.head_kills,
    ),
    held(
        "2b",
        "`kill -9` of the head while hosts have joined it, away for 15 s",
        "they wait, and hand in what they hold; nothing runs again",
        f"{_STRUCK}hosts_outlast_a_killed_head_and_hand_in_what_they_hold",
    ),
    Scenario(
        "3",
        "both together",
        "totals exact",
        (f"{_F}/test_head_kills.py",),
        scenarios.head_and_worker_kills,
    ),
    held(
        "4a",
        "`kill -9` of the agent on the head's host",
        "its workers and their children gone within 1 s; nothing lost",
        f"{_F}/test_workers.py::"
        "test_a_killed_agent_takes_its_children_along_within_a_second_and_loses_nothing",
    ),
    held(
        "4b",
        "`kill -9` of the agent of a host that joined",
        "its workers gone within 1 s, its items taken again within 12 s",
        f"{_STRUCK}when_an_agent_is_killed_its_items_are_taken_again_within_12_s",
    ),
    Scenario(
        "5",
        "clients of a stock manager killed in a blocking `get`",
        "all 20 delivered",
        ("tests/queues/managers/test_clients.py",),
        scenarios.stock_clients,
    ),
    held(
        "6a",
        "the network of a joined host goes down for good",
        "its items are taken again after 10 s, give or take 2",
        f"{_STRUCK}when_a_host_is_cut_off_its_items_are_taken_again_after_10_s",
    ),
    held(
        "6b",
        "of five hosts at work, one dies and one is cut off until it is given up, and comes back",
        "totals exact; counts as the file says, before and after",
        "tests/hosts/test_five_machines.py",
    ),
    held(
        "7",
        "the network of a joined host is down for 5 s",
        "it keeps its items, nothing runs again",
        f"{_STRUCK}a_host_cut_off_for_5_s_keeps_its_items_and_nothing_runs_again",
    ),
    held(
        "8a",
        "a joined host's processes are stopped for 20 s, then go on",
        "what they settle late is refused; totals exact",
        f"{_STRUCK}a_host_stopped_for_20_s_is_refused_what_it_settles_late",
    ),
    held(
        "8b",
        "every connection of a joined host is reset, a long item in work",
        "it keeps its items, nothing runs again",
        f"{_STRUCK}a_host_whose_connections_are_reset_keeps_a_long_item",
    ),
    Scenario(
        "9",
        "answers to SETTLE dropped, frames cut in the middle",
        "totals exact, nobody charged",
        (f"{_F}/test_rough_going.py",),
        scenarios.bad_line,
    ),
    Scenario(
        "9b",
        "the same over TLS, as for the workers of other hosts",
        "totals exact, nobody charged",
        (f"{_F}/test_rough_going.py",),
        scenarios.bad_sealed_line,
    ),
    held(
        "10",
        "a host behind 1 Mbit/s, every byte 2 s late, with an item that takes 12 s to arrive",
        "no false death: each item runs once",
        "tests/hosts/test_slow_link.py::test_a_megabit_a_second_and_two_seconds_late_is_no_death",
    ),
    held(
        "11",
        "a source killed 20 times: generators, `At` cursors, partitions; its head too",
        "every value once",
        f"{_F}/test_sources.py",
    ),
    Scenario(
        "12",
        "power cuts on a disk that forgets what was not synced",
        "nothing acknowledged is lost",
        (f"{_F}/test_power.py",),
        scenarios.power_goes,
    ),
    Scenario(
        "13",
        "the journal cut short anywhere, or one bit of it flipped",
        "a prefix of the commits; damage is named",
        (f"{_F}/test_power.py",),
        scenarios.torn,
    ),
    Scenario(
        "14",
        "`fdatasync` returns EIO",
        "the head ends within 1 s and answers nothing after; a restart loses nothing",
        (f"{_F}/test_rough_going.py",),
        scenarios.disk_error,
    ),
    held(
        "15",
        "the disk is full (8 MiB)",
        "no crash, nothing lost; goes on within 5 s of space",
        f"{_F}/test_head_disk.py::test_a_full_disk_stops_nothing_for_good",
    ),
    held(
        "16",
        "poison: `os._exit`, a segfault, `kill -9` of itself",
        "a dead letter after exactly `attempts` deaths and at most one more run",
        *(
            f"{_FAILURES}{fact}[{name}]"
            for fact in (
                "an_item_that_fails_leaves_the_attempts_of_the_others_alone",
                "what_takes_its_process_along_is_a_dead_letter_that_says_how",
                "a_poisonous_item_runs_once_for_each_attempt_and_at_most_once_more",
            )
            for name in ("exits", "segfaults", "kills")
        ),
    ),
    held(
        "17",
        "Exception, SystemExit, KeyboardInterrupt, an unpicklable output, recursion",
        "a dead letter with its traceback each; the worker lives",
        *(
            f"{_FAILURES}{fact}[{name}]"
            for fact in (
                "an_item_that_fails_leaves_the_attempts_of_the_others_alone",
                "what_raises_is_a_dead_letter_with_its_traceback_and_its_payload",
                "a_worker_outlives_what_its_function_raises",
            )
            for name in ("raises", "system_exits", "interrupts", "unpicklable", "recurses")
        ),
    ),
    held(
        "18",
        'an endless loop with `timeout = "2s"`',
        "killed within 3 s",
        f"{_LIMITS}an_endless_loop_is_killed_within_3_s_and_charged_alone",
    ),
    held(
        "19a",
        "a leak with `max_memory`",
        "recycled; nothing lost or run again",
        f"{_LIMITS}a_leak_is_recycled_in_good_order",
        f"{_LIMITS}recycling_loses_and_repeats_nothing[leaks]",
    ),
    Scenario(
        "19b",
        "a million items queued, budget 128 MiB",
        "RSS of the head at most 192 MiB",
        (f"{_F}/test_rough_going.py",),
        scenarios.backlog,
    ),
    held(
        "20",
        "a cycle of capacity 3 that emits 50 for each of 100 items",
        "drains and ends",
        f"{_LIMITS}a_cycle_of_capacity_3_that_emits_50_an_item_drains_and_ends",
    ),
    held(
        "21",
        "SIGTERM under load",
        "exit within 30 s, nothing runs again",
        "tests/head/test_signals.py::test_a_stop_under_load_drains_everything_and_exits_0[SIGTERM]",
    ),
    held(
        "22a",
        "500 silent connections at the TCP door of a head with 64 descriptors",
        "a good peer is in within 1 s, the head under 10 % of a core",
        f"{_GUARDS}500_silent_connections_and_64_descriptors_keep_no_good_peer_out",
    ),
    held(
        "22b",
        "a length of 2 GiB before the proof, after it, and after HELLO",
        "refused; the head grows by less than 1 MiB",
        f"{_GUARDS}a_length_of_two_gib_before_the_proof_is_refused_unallocated",
        f"{_GUARDS}a_length_of_two_gib_from_a_key_holder_is_refused_unallocated",
    ),
    held(
        "22c",
        "peers that stop on the way in, send a byte at a time or rubbish, or read nothing",
        "shown out after 5 s; nobody waits for them; 1,000 idle peers cost under 100 MiB",
        f"{_GUARDS}whoever_stops_on_the_way_in_is_shown_out_after_its_time",
        f"{_GUARDS}whoever_sends_a_byte_at_a_time_keeps_nobody_waiting",
        f"{_GUARDS}whoever_reads_nothing_keeps_nobody_waiting",
        f"{_GUARDS}strangers_leave_no_descriptor_behind",
        f"{_GUARDS}a_thousand_idle_peers_cost_less_than_100_mib",
    ),
    held(
        "23a",
        "a relay in the middle, a wrong key, an old proof, a pickle, `shutdown`, an older TLS",
        "refused; nothing of the key or of what was to be said is seen",
        "tests/wire/test_proof.py",
        "tests/wire/test_visits.py",
    ),
    held(
        "23b",
        "packets of discovery forged, replayed, cut, altered in any bit, foreign, huge",
        "none is answered or believed; true ones are",
        f"{_FOUND}/test_packets.py::test_no_bit_of_a_packet_can_be_changed",
        f"{_FOUND}/test_packets.py::test_no_packet_can_be_cut_or_made_longer",
        f"{_FOUND}/test_beacon.py::test_nothing_but_a_true_ask_is_answered",
        f"{_FOUND}/test_discovery.py::test_an_offer_that_was_recorded_answers_nothing",
        f"{_FOUND}/test_discovery.py::test_forged_offers_do_not_hide_the_true_one",
    ),
    held(
        "23c",
        "a search for the pipeline's key in all that two hosts wrote, sent or started",
        "it is where it is kept, and nowhere else",
        "tests/hosts/test_keys.py::test_no_key_stands_in_any_argv_environment_log_or_file_of_a_run",
    ),
    Scenario(
        "24",
        "the wall clock jumps a day",
        "nothing expires",
        (f"{_F}/test_rough_going.py",),
        scenarios.clock,
    ),
    held(
        "25a",
        "`../`, absolute paths, links that lead out and other lies in a list of files",
        "refused whole, before anything is written",
        "tests/sync/test_manifest.py::test_a_hostile_manifest_is_refused",
        "tests/sync/test_manifest.py::test_what_is_no_manifest_is_refused",
        "tests/sync/test_manifest.py::test_no_path_that_is_read_leads_out_of_the_tree",
        "tests/sync/test_manifest.py::test_no_set_of_links_leads_out_of_the_tree",
        "tests/head/test_releases.py::test_what_is_not_in_the_release_is_given_to_nobody",
    ),
    held(
        "25b",
        "project files rewritten, swapped for links, unreadable, empty, not Unicode, while read",
        "nothing is torn, nothing outside is read, what stays behind is named",
        "tests/sync/test_scan.py",
    ),
    held(
        "25c",
        "links and files in the way of a release, case twins, a file where a folder was",
        "nothing is written outside; refused, or made as it should be",
        f"{_APPLIED}a_link_in_the_way_is_not_gone_through",
        f"{_APPLIED}a_file_that_is_in_the_way_is_not_written_to",
        f"{_APPLIED}a_host_that_takes_names_for_one_refuses_twins",
        f"{_APPLIED}a_file_becomes_a_folder_and_a_folder_a_file",
    ),
    held(
        "25d",
        "`kill -9` while a release is made, and while a host fetches it",
        "CURRENT names a whole release at every point; what had come is not fetched again",
        f"{_APPLIED}a_kill_at_any_point_leaves_a_whole_tree_current",
        "tests/hosts/test_files.py::"
        "test_a_join_that_was_killed_while_files_came_goes_on_where_it_was",
        "tests/sync/test_fetching.py::test_a_cut_costs_no_more_than_what_was_on_its_way",
    ),
    held(
        "25e",
        "a full disk on a host (8 MiB tmpfs)",
        "told with the cure, what runs is not touched, it goes on once there is room",
        "tests/sync/test_disk.py",
    ),
    held(
        "25f",
        "keys and other secrets among the project's files",
        "no rule makes one travel",
        "tests/sync/test_ignore.py::test_no_rule_brings_a_secret_back",
        "tests/sync/test_scan.py::test_a_file_that_holds_the_pipelines_key_stays_where_it_is",
    ),
    held(
        "26",
        "objects yielded again and refilled, parts shared between items, changed by consumers",
        "every item is what a deep copy at the yield would have been; nobody is charged",
        "tests/worker/test_refilled_objects.py",
        "tests/worker/test_value_semantics.py",
    ),
    held(
        "26b",
        "items that raise, kill or hang their process while they are decoded",
        "a letter each, after its own attempts; nobody else is charged",
        "tests/worker/test_hostile_items.py",
    ),
    held(
        "27",
        "outputs over `max_item`, one alone or several in sum, of every kind of stage",
        "in sum: all arrive; alone: a letter that names size, bound and key; the run ends",
        "tests/worker/test_too_large.py",
    ),
    held(
        "28a",
        "stages whose code closes all descriptors, or exits with one of our own exit codes",
        "a dead letter that says so after exactly `attempts` deaths and at most one more run",
        "tests/worker/test_charges.py",
        "tests/worker/test_endings.py::test_an_exit_code_of_user_code_is_not_taken_for_our_own",
    ),
    held(
        "28b",
        "a `close()` that never returns or ends its process, an `__init__` that raises or never"
        " returns, a source that raises for ever",
        "each is told with its reason; the run ends within the grace",
        "tests/worker/test_endings.py::test_a_finished_run_ends_whatever_close_does",
        "tests/worker/test_endings.py::"
        "test_a_close_that_ends_its_process_is_told_and_not_called_again",
        "tests/worker/test_endings.py::test_a_finished_stage_waits_for_no_worker_that_cannot_start",
        "tests/worker/test_endings.py::"
        "test_a_source_that_raises_for_ever_is_a_letter_after_its_attempts",
        "tests/worker/test_endings.py::"
        "test_a_stage_that_cannot_start_and_says_stop_ends_the_run_with_its_reason",
    ),
    held(
        "28c",
        "modules that replace threads, waits, sockets and signals; modules that run their pipeline",
        "they work, or are refused with the cure; nothing nests",
        "tests/worker/test_patched.py",
        "tests/worker/test_within.py",
    ),
    held(
        "29",
        "a backlog whose edge the file has no more, through three runs and `clean`",
        "parked, named, exit 1; nothing lost once the file has the edge again",
        f"{_PARKED}it_outlives_every_run_and_flows_once_the_file_has_its_edge_again",
    ),
    held(
        "30",
        "a host joins while a source that is divided among processes runs",
        "every value once: the count is the wanted one from the start",
        "tests/hosts/test_partitions.py",
    ),
    held(
        "31",
        "a flood of failures: one item in 20 raises at each attempt; the head is killed twice",
        "a dead letter each, of its own item and under 2 KiB more; nothing lost",
        f"{_F}/test_flood.py",
    ),
)
MARATHON = Scenario(
    "marathon",
    "a million items; heads, agents and workers killed at random all the time",
    "totals exact; the epoch grows by the kills of the head",
    ("python -m tests.faults --marathon",),
    scenarios.marathon,
)
