"""The plan of the house: which package and which file stands where, and what each may touch.

``test_tidy`` holds the code against it.
"""

from __future__ import annotations

ORDER = (
    "__init__ errors compact model names grammar spans urls web_links"
    " system neighbours telemetry ratelimit setting_types config settings_sources quota"
    " http auth aps"
    " namespace fetch blocks"
    " prefetch exports thumbnails pins write"
    " drive status assembly jobs"
    " fuse spec control help desktop cli __main__"
).split()
"""A package or a file of the top floor imports only from those that stand before it."""

INSIDE = {
    "web_links": "link pages parse",
    "grammar": "moments version_names",
    "model": "ids nodes past kinds listing",
    "system": "resources clock suspend backoff concurrency disk_health disk_threads gc_tuning"
    " mountinfo private_files byte_locks shared_memory sqlite",
    "system.sqlite": "state_database",
    "telemetry": "processes access_log activity logs stack_report durations metric_families metrics"
    " sentence notices desktop watch",
    "drive": "parts stats unlisted gate drive",
    "spec": "address absence copying oserrors room facts known reading changing settings"
    " process file filesystem",
    "spec.process": "loop sessions",
    "spec.changing": "target names settling facts file verbs",
    "spec.known": "knowledge memory listing",
    "neighbours": "table decision programs refusals",
    "thumbnails": "png subjects store thumbnails opening",
    "desktop": "types mime_xml share_files data_places plan installing missing file_manager_menu",
    "cli.desktop": "menu install",
    "cli.documents": "roff markdown grammar_page settings_page pages command",
    "cli.completion": "shell_words wanted local remote answer",
    "fuse.confinement": "apparmor refusals",
    "fuse.descriptor": "given opening storing becoming command",
    "ratelimit": "limits priority call_tally write_share shared_log cluster limiter stall_memory"
    " stall_gate",
    "ratelimit.cluster": "address plan coordinator ledger",
    "http": "tls headers client errormap circuit_breaker curl httpx_client"
    " engines json_body json_client probes",
    "http.curl": "multi client thread",
    "auth": "tokens token_endpoint authorization_code jwt_assertion token_file desktop_keyring"
    " token_store token_sources user_session whose factory loopback_server",
    "aps": "json_values item_types signed_urls jsonapi hubs contents paging page_shelf change"
    " signed_in history pictures sending client uploads questions",
    "aps.pictures": "links",
    "aps.history": "deleted versions",
    "aps.questions": "by_id search refs publish_state exports thumbnail",
    "aps.change": "documents answers",
    "namespace": "listing_codec stored listing_store page_store listing_cache known change_feed"
    " directory_query listing_tiers views listings paths poll_schedule poller xattrs",
    "namespace.known": "by_id",
    "namespace.stored": "partition rows database",
    "namespace.views": "versions past markers folded views",
    "fetch": "curl link_stats connection_slots generation etags"
    " hosts thread_fetcher process_fetcher read_leave signed_urls dead_stretches stalls"
    " object_client",
    "fetch.curl": "progress transfer transfers worker_protocol worker",
    "blocks": "store readahead extents memory_tier missing group_commit save_queue"
    " disk_writer disk_tier sharing open_objects cache object_sizes reader whole",
    "blocks.whole": "window fetch at_hand",
    "blocks.sharing": "filling",
    "blocks.store": "leases index_view index eviction pending sparse_file stored_object attached"
    " held inventory block_store",
    "prefetch": "tree_walk list_ahead file_series listing_orders open_ahead",
    "jobs": "job reports tree selection estimate refresh warm evict offline pinning writing history"
    " find links relations export table",
    "jobs.history": "versions",
    "jobs.find": "globs criteria entries narrowing ways known looking homes searching job",
    "jobs.links": "wanted page following verbs",
    "jobs.relations": "places verdict splitting refs",
    "jobs.export": "designs landing job",
    "exports": "records steps export_store maker overlay rights exports standing opening",
    "jobs.writing": "place sending remedies changes",
    "pins": "records pin_store pin_plan substitutes pins holdings keeper_lock retries"
    " pinned_listings whereabouts keeper",
    "write": "records spool parts settle upload live handle overlay calls drafts"
    " landing upload_orders name_steps settler rights writing care opening",
    "write.overlay": "merging adopted made rows view overlay",
    "write.care": "rows tally report journalled leftovers remedies putting restoring",
    "write.calls": "permissions folder_calls name_calls folders",
    "write.spool": "extents sums card disk room owner data_file journal snapshot content recovery"
    " spool",
    "write.settle": "local_names service_names conflict_names nouns locality claims quiet"
    " ordering plan recording",
    "write.settle.recording": "listed name_table answers recorder",
    "write.upload": "plan ports pace stage work sending looks posting steps uploader",
    "write.upload.plan": "part_plan records answers look conflicts",
    "write.parts": "slices put puts thread_sender",
    "control": "cards peer exchange metrics_port routes server client mounts",
    "fuse": "inode_table kernel_params mount_options mount_place mountpoint descriptor confinement"
    " attributes push kernel_cache request operations write_operations export workers"
    " mount",
    "fuse.export": "numbering handle_table handles operations write_operations opening",
    "fuse.push": "helper pusher",
    "help": "topics",
    "cli": "streams secret_files settings control exploring writing parser completion"
    " daemonize browse serve mount documents desktop login whoami doctor demo main",
    "cli.control": "words grammar target runner status events top_frame top bar steer pins",
    "cli.exploring": "grammar type_words kind_facts browser links refs versions find export",
    "cli.writing": "owner table processes getting uploads changes leaving",
    "cli.doctor": "findings updatedb surroundings machine place quota service",
    "emulator": "world settings command_line http sign_in writing designs thumbnails api server"
    " browser process __main__",
    "emulator.world": "times ids content zip_content content_threads model builder facts rights"
    " changing changes past sample designs bench local catalog",
    "emulator.world.designs": "making relations orders",
    "emulator.designs": "rules jobs",
    "emulator.world.changing": "finding moments versions",
    "emulator.world.past": "record tree",
    "emulator.world.local": "directory",
    "emulator.writing": "part_file part_digest uploads looks local_names violations history state"
    " views",
    "emulator.world.sample": "documents files folders names versions hubs history",
    "emulator.http": "messages errors rate_limits line delivery",
    "emulator.sign_in": "apps tokens service_keys sessions service grants service_accounts"
    " token_endpoint consent_page oauth",
    "emulator.api": "s3_presign url_signing page_cache service jsonapi lookup project data"
    " relations commands cdn oss schema searching writing designs thumbnails",
    "emulator.api.thumbnails": "thumbnail",
    "emulator.thumbnails": "pictures state",
    "emulator.api.relations": "rows refs commands",
    "emulator.api.designs": "downloads",
    "emulator.api.searching": "search",
    "emulator.api.writing": "payload access making storage s3_uploads signing parts items"
    " versions folders",
    "emulator.server": "call_log faults races emulator routes fault_kinds sign_in_control orders"
    " designs control watch handler bodies listeners",
    "emulator.server.designs": "control",
    "emulator.server.orders": "past thumbnails",
}
"""Inside a package a file imports only from those that stand before it."""

APART = {
    "namespace": {"fetch", "blocks", "http", "auth", "aps"},
    "fetch": {"namespace", "auth", "aps", "config"},
    "blocks": {"namespace", "http", "auth", "aps", "config"},
    "prefetch": {"http", "auth", "aps"},
}
"""Names move, contents never do: two planes that meet in ``drive`` alone."""

ONLY_IN = {
    "pyfuse3": {
        *(
            "fuse.attributes",
            "fuse.kernel_cache",
            "fuse.request",
            "fuse.operations",
            "fuse.write_operations",
        ),
        *("fuse.workers", "fuse.mount", "fuse.export.operations", "fuse.export.write_operations"),
    },
    "httpx": {"http.httpx_client", "control.client"},
    "pycurl": {"http.curl.multi", "http.curl.client", "fetch.curl.transfers", "write.parts.puts"},
    "diskcache": {"namespace.listing_store"},
    "keyring": {"auth.desktop_keyring"},
    "rich": {
        "cli.browse",
        "cli.demo",
        "cli.control.status",
        "cli.control.top",
        "cli.control.bar",
        "cli.writing.uploads",
    },
    "prometheus_client": {"telemetry.metrics"},
    "fsspec": {"spec.filesystem"},
    "jeepney": {"telemetry.desktop"},
    "limits": {"ratelimit.cluster.coordinator"},
    "valkey": {"ratelimit.cluster.coordinator"},
}
"""Library → the files that may import it."""

WITHOUT_TRIO = (
    "errors compact model. names grammar. spans urls setting_types config settings_sources"
    " neighbours. spec.address spec.facts"
    " blocks.store. fetch.curl."
    " aps.json_values aps.item_types aps.jsonapi aps.hubs aps.contents aps.signed_urls"
    " namespace.views.versions namespace.views.past aps.change.documents aps.change.answers"
    " aps.pictures. thumbnails.png"
    " namespace.views.versions namespace.views.past namespace.views.markers"
    " namespace.views.folded aps.change.documents aps.change.answers"
    " blocks.readahead fetch.dead_stretches"
    " ratelimit.limits ratelimit.write_share"
    " ratelimit.cluster.address ratelimit.cluster.plan ratelimit.cluster.coordinator"
    " write.parts.slices write.parts.put write.parts.puts"
    " prefetch.tree_walk prefetch.file_series prefetch.listing_orders"
    " jobs.find.globs jobs.find.criteria jobs.find.entries jobs.find.narrowing jobs.find.ways"
    " jobs.find.known namespace.stored. auth.whose"
    " namespace.poll_schedule namespace.change_feed namespace.listing_codec ratelimit.stall_memory"
    " telemetry.durations telemetry.metric_families telemetry.metrics telemetry.sentence"
    " telemetry.notices write.upload.plan."
    " help. cli.main cli.parser cli.streams cli.settings cli.mount cli.daemonize"
    " fuse.mountpoint fuse.mount_options fuse.mount_place fuse.kernel_params "
    " fuse.descriptor. fuse.confinement. cli.doctor.updatedb"
    " fuse.push."
    " write.settle. write.overlay.merging web_links."
    " cli.exploring.type_words desktop. cli.desktop. cli.documents. cli.completion."
).split()
"""Decide without I/O, and block without a loop: a name with a dot at its end is a package."""

WALL_CLOCK = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today"}
WALL_CLOCK_IN = {"system.clock"}
PROCESS_CLOCK = {"time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.sleep"}
PROCESS_CLOCK_IN = {
    "cli.demo": "waits for a child process, outside of trio",
    "control.cards": "waits for a lock in a thread, without a loop",
    "cli.writing.owner": "waits for another process, without a loop",
    "cli.writing.processes": "waits for another process, without a loop",
    "cli.control.top": "looks once a second, without a loop",
    "fuse.mount_place": "waits for another process, without a loop",
    "http.curl.multi": "the curl thread has libcurl's timers to keep, and no trio",
}
ENVIRONMENT = {"os.environ", "os.getenv", "os.environb", "sys.argv"}
ENVIRONMENT_IN = {"cli.main", "fuse.descriptor.command", "spec.filesystem"}
PRINT_IN = {"cli.main"}
