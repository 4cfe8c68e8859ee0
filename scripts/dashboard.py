#!/usr/bin/env python3
"""Writes helm/roomcast/dashboards/roomcast.json, the Grafana dashboard of chart and Compose file; --check only compares.

One row per question of whoever is on call. Needs nothing but Python; tests/operations/check_operations.py holds the queries against the
metrics that there are.
"""

import json
import pathlib
import sys

PATH = pathlib.Path(__file__).parent.parent / "helm/roomcast/dashboards/roomcast.json"
RUNBOOKS = "https://github.com/roomcast/roomcast/blob/main/docs/runbooks.md"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# What every query is limited to.
NODES = 'job="roomcast",namespace=~"$namespace",instance=~"$node"'
ALL = 'job="roomcast",namespace=~"$namespace"'
WIDTH = 24


class Board:
    """Lays panels out from left to right, row by row, as they are added."""

    def __init__(self):
        self.panels, self.x, self.y, self.height = [], 0, 0, 0

    def row(self, title):
        self.break_line()
        self.panels.append({"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": self.place(WIDTH, 1)})
        self.break_line()

    def break_line(self):
        if self.x:
            self.x, self.y, self.height = 0, self.y + self.height, 0

    def place(self, width, height):
        if self.x + width > WIDTH:
            self.break_line()
        place = {"x": self.x, "y": self.y, "w": width, "h": height}
        self.x, self.height = self.x + width, max(self.height, height)
        return place

    def add(self, kind, title, description, queries, width, height, unit="short", thresholds=None, options=None, custom=None, least=0):
        defaults = {"unit": unit, "min": least, "custom": custom or {}}
        if least is None:
            del defaults["min"]
        if thresholds:
            defaults["thresholds"] = {"mode": "absolute", "steps": [{"color": c, "value": v} for c, v in thresholds]}
            defaults["color"] = {"mode": "thresholds"}
        self.panels.append({
            "type": kind,
            "title": title,
            "description": description,
            "datasource": SOURCE,
            "gridPos": self.place(width, height),
            "targets": [
                {"refId": chr(65 + number), "datasource": SOURCE, "expr": expr, "legendFormat": legend, "range": True,
                 **({"format": "heatmap"} if kind == "heatmap" else {})}
                for number, (expr, legend) in enumerate(queries)
            ],
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": options or {},
        })

    def stat(self, title, description, expr, unit="short", thresholds=None, legend=""):
        options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "background" if thresholds else "value",
                   "graphMode": "area", "textMode": "auto", "justifyMode": "auto", "orientation": "auto"}
        self.add("stat", title, description, [(expr, legend)], 4, 4, unit, thresholds, options)

    def graph(self, title, description, queries, unit="short", width=8, stacked=False, log=False, least=0):
        custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 30 if stacked else 8, "showPoints": "never", "spanNulls": False,
                  "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
                  "scaleDistribution": {"type": "log", "log": 10} if log else {"type": "linear"}}
        options = {"legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}, "tooltip": {"mode": "multi", "sort": "desc"}}
        self.add("timeseries", title, description, queries, width, 8, unit, None, options, custom, None if log else least)

    def heatmap(self, title, description, expr, width=8):
        options = {"calculate": False, "yAxis": {"unit": "s"}, "color": {"mode": "scheme", "scheme": "Blues", "steps": 64, "exponent": 0.5, "fill": "dark-blue", "reverse": False},
                   "cellGap": 1, "tooltip": {"mode": "single", "yHistogram": True}, "legend": {"show": True}}
        self.add("heatmap", title, description, [(expr, "{{le}}")], width, 8, "s", None, options)

    def alerts(self):
        options = {"viewMode": "list", "groupMode": "default", "maxItems": 20, "sortOrder": 1, "alertInstanceLabelFilter": '{job="roomcast"}',
                   "stateFilter": {"firing": True, "pending": True, "noData": False, "normal": False, "error": True}}
        self.panels.append({"type": "alertlist", "title": "Alerts", "description": f"What fires; each alert names its runbook ({RUNBOOKS}).",
                            "gridPos": self.place(8, 8), "options": options})


def rate(metric, labels="", by="", span="$__rate_interval"):
    inner = f"{NODES},{labels}" if labels else NODES
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({metric}{{{inner}}}[{span}]))"


def quantile(q, metric, by=""):
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{{{NODES}}}[$__rate_interval])))"


def quantiles(metric):
    return [(quantile(q, metric), name) for q, name in ((0.5, "half within"), (0.99, "99 % within"), (0.999, "99.9 % within"))]


def panels():
    board = Board()
    board.row("At a glance")
    board.stat("Sessions", "Open sessions on the chosen nodes.", f"sum(roomcast_sessions{{{NODES}}})")
    board.stat("Nodes that answer", "Nodes that Prometheus reaches.", f"sum(up{{{ALL}}})", thresholds=[("red", None), ("green", 1)])
    board.stat("Delivered per second", "Publications handed to sessions.", rate("roomcast_delivered_total"), "cps")
    board.stat("Delivery, 99 % within", "From the log to the socket.", quantile(0.99, "roomcast_delivery_seconds"), "s",
               [("green", None), ("orange", 0.1), ("red", 0.25)])
    board.stat("Gaps told in the last hour", "Losses that clients were told of. Anything but 0 is worth a look.",
               f"sum(increase(roomcast_gaps_total{{{NODES}}}[1h]))", "short", [("green", None), ("red", 1)])
    board.stat("Nodes without Redis", "Nodes that have no way to their broker.", f"sum(roomcast_broker_ready{{{NODES}}} == bool 0)", "short",
               [("green", None), ("red", 1)])

    board.row("Who is connected?")
    board.graph("Sessions by node", "How they are spread; one node far above the others is a load balancer that does not count connections.",
                [(f"roomcast_sessions{{{NODES}}}", "{{instance}}")], stacked=True)
    board.graph("Sessions that come", "Opened per second. A peak is a reconnect storm, a steady height clients that do not stay.",
                [(rate("roomcast_sessions_opened_total", by="instance"), "{{instance}}")], "cps")
    board.graph("Connections closed by the server", "By close code (docs/protocol.md): 4000 drain, 4002 token expired, 45xx refused for good.",
                [(rate("roomcast_closes_total", by="code"), "{{code}}")], "cps", stacked=True)
    board.graph("Asked to move", "By their node, which goes on. balance: it has more than the others; age: balance.connection_age_max_ms.",
                [(rate("roomcast_moves_asked_total", by="reason"), "{{reason}}")], "cps", stacked=True)
    board.graph("Sessions above the mean", "What each node has to give away; it falls after a scale-out. paused: those that were asked came back.",
                [(f"roomcast_sessions_excess{{{NODES}}}", "{{instance}}"), (f"roomcast_moves_paused{{{NODES}}}", "{{instance}} paused: 1")])
    board.graph("Orgs and patterns in use", "Orgs with a session, and patterns with a subscription, on each node.",
                [(f"roomcast_orgs{{{NODES}}}", "orgs on {{instance}}"), (f"roomcast_rooms{{{NODES}}}", "patterns on {{instance}}")])
    board.graph("Errors told", "By code. CONNECTION_LIMIT: full. AUTH_FAILED: tokens. BROKER_UNAVAILABLE: Redis. INTERNAL_ERROR: ours.",
                [(rate("roomcast_errors_total", by="code") + " > 0", "{{code}}")], "cps", stacked=True)
    board.alerts()
    board.graph("Polls answered again", "Answers to long polls that did not come to their client the first time: bad networks.",
                [(rate("roomcast_polls_repeated_total", by="instance"), "{{instance}}")], "cps")
    board.graph("Requests for sessions of other nodes", "Carried through Redis. unanswered: a node that is gone or too busy; refused: too many at a time (http.carried_max).",
                [(rate("roomcast_carried_total", by="outcome"), "{{outcome}}")], "cps", stacked=True)

    board.graph("Presence", "Sessions that show themselves, and those that watch who does.",
                [(f"sum(roomcast_presence_sessions{{{NODES}}})", "present"), (f"sum(roomcast_presence_watchers{{{NODES}}})", "watching")])
    board.graph("Presence: changes and reads", "Changes of who is there that went to watchers, and lists that were read.",
                [(rate("roomcast_presence_diffs_total"), "changes"), (rate("roomcast_presence_reads_total"), "reads")], "cps")

    board.row("What is delivered, and how late?")
    board.graph("Published and delivered", "Accepted publications, and deliveries: one for each session that a publication reached.",
                [(rate("roomcast_published_total"), "published"), (rate("roomcast_delivered_total"), "delivered")], "cps", log=True)
    board.graph("Bytes to sessions", "Before TLS and TCP.", [(rate("roomcast_delivered_bytes_total", by="instance"), "{{instance}}")], "Bps", stacked=True)
    board.heatmap("Log → socket", "Every delivery batch by the time that it took; a second band is a part of the sessions that waits.",
                  f"sum by (le) (increase(roomcast_delivery_seconds_bucket{{{NODES}}}[$__rate_interval]))")
    board.graph("Log → socket", "Includes the difference of the clocks of Redis and node.", quantiles("roomcast_delivery_seconds"), "s", log=True)
    board.graph("Log → node", "Until a node has heard of a publication: Redis, the network, and the node's inbox.", quantiles("roomcast_lag_seconds"), "s", log=True)
    board.graph("Log → socket by node, 99 % within", "One slow node is short of CPU; all of them alike is Redis or the load.",
                [(quantile(0.99, "roomcast_delivery_seconds", "instance"), "{{instance}}")], "s", log=True)

    board.row("What is lost or lagging?")
    board.graph("Gaps", "trimmed: logs keep too little. fork, log_lost: Redis lost entries. evicted: a node's memory. unreadable: a later version wrote it; finish the update.",
                [(rate("roomcast_gaps_total", by="reason"), "{{reason}}")], "cps", stacked=True)
    board.graph("Sessions that are behind", "They are caught up from the log; slow networks and too little CPU make them.",
                [(f"roomcast_sessions_lagging{{{NODES}}}", "{{instance}}")], stacked=True)
    board.graph("Send queues without room", "overflow: caught up from the log later. conflated, ephemeral: as their publishers wanted it.",
                [(rate("roomcast_dropped_total", by="reason"), "{{reason}}")], "cps", stacked=True)
    board.graph("Sent again", "Publications that ask to be acknowledged and were not in time; clients that crash or are overloaded make them.",
                [(rate("roomcast_redelivered_total"), "publications")], "cps")
    board.graph("Catch-ups", "Resumes and slow sessions, by how they ended.", [(rate("roomcast_resumes_total", by="outcome"), "{{outcome}}")], "cps", stacked=True)
    board.graph("Pages read to catch up", "tail: the node's memory, for nothing. log: read from Redis.",
                [(rate("roomcast_catch_up_reads_total", by="source"), "{{source}}")], "cps", stacked=True)
    board.graph("Bytes in send queues", "Memory that waits for clients to read.", [(f"roomcast_send_queue_bytes{{{NODES}}}", "{{instance}}")], "bytes", stacked=True)

    board.row("Is Redis the limit?")
    board.graph("Round trip of a command", "Rises before Redis is full; its own CPU, a slow disk (AOF), or a neighbour.",
                quantiles("roomcast_redis_round_trip_seconds"), "s", log=True)
    board.graph("Publish at the broker", "What a publisher waits for.", quantiles("roomcast_publish_seconds"), "s", log=True)
    board.graph("Ways to Redis", "1: in order. Below it a node keeps its sessions and delivers nothing.",
                [(f"roomcast_broker_ready{{{NODES}}}", "{{instance}}")])
    board.graph("Broken connections and interruptions", "Connections made anew, and logs read to make sure that nothing was missed.",
                [(rate("roomcast_redis_reconnects_total"), "reconnects"), (rate("roomcast_interruptions_total"), "interruptions")], "cps")
    board.graph("Ingest stream", "Entries taken over. dead: a backend writes what cannot be published (rc:ingest:dead has it).",
                [(rate("roomcast_ingested_total", by="outcome"), "{{outcome}}")], "cps", stacked=True)
    board.graph("Collections", "Writes by what became of them, and pages read. conflict: somebody else was quicker, as intended; full: a bound of the configuration.",
                [(rate("roomcast_collection_writes_total", by="outcome"), "{{outcome}}"), (rate("roomcast_collection_reads_total"), "pages read")], "cps")
    board.graph("Foreign entries", "What is none of ours: in logs, collections and on the bus; and notes of nodes that could not be read.",
                [(rate("roomcast_malformed_total"), "in logs"), (rate("roomcast_items_malformed_total"), "in collections"),
                 (rate("roomcast_bus_unreadable_total"), "on the bus"),
                 (rate("roomcast_notes_ignored_total"), "notes")], "cps")

    board.row("Which org is loud?")
    named = "Needs telemetry.metrics.orgs_max; GET /api/ws/stats has the sessions of each in any case."
    board.graph("Deliveries by org", f"The ten that cost the nodes most. {named}", [(f"topk(10, {rate('roomcast_org_delivered_total', by='org')})", "{{org}}")], "cps", stacked=True)
    board.graph("Publications by org", "The ten that cost Redis most. An org that publishes much to nobody shows here only.",
                [(f"topk(10, max by (org) (rate(roomcast_org_publications_total{{{NODES}}}[$__rate_interval])))", "{{org}}")], "cps", stacked=True)
    board.graph("Sessions by org", "The ten with most sessions.", [(f"topk(10, sum by (org) (roomcast_org_sessions{{{NODES}}}))", "{{org}}")], stacked=True)

    board.graph("Quotas used up", "Refusals, by the quota that an org had no more of (docs/quotas.md).",
                [(rate("roomcast_quota_refusals_total", by="quota"), "{{quota}}")], "cps", stacked=True)
    board.graph("Ingest entries that wait", "For their org's quota; beyond a bound they become dead letters.", [(f"roomcast_ingest_deferred{{{NODES}}}", "{{instance}}")], stacked=True)

    board.row("How are the nodes?")
    board.graph("CPU", "By cAdvisor, where there is one.",
                [('sum by (pod) (rate(container_cpu_usage_seconds_total{namespace=~"$namespace",container="roomcast"}[$__rate_interval]))', "{{pod}}")], "short")
    board.graph("Memory", "By cAdvisor, where there is one.",
                [('sum by (pod) (container_memory_working_set_bytes{namespace=~"$namespace",container="roomcast"})', "{{pod}}")], "bytes")
    board.graph("Versions", "Two at a time only while an update runs.",
                [(f"count by (version) (roomcast_build_info{{{ALL}}})", "{{version}}")], stacked=True)
    return [{"id": number, **panel} for number, panel in enumerate(board.panels, 1)]


def variable(name, label, query):
    return {"name": name, "label": label, "type": "query", "datasource": SOURCE, "query": {"query": query, "refId": name},
            "refresh": 2, "includeAll": True, "allValue": ".*", "multi": True, "current": {"text": "All", "value": "$__all"}, "sort": 1, "hide": 0}


def dashboard():
    return {
        "uid": "roomcast",
        "title": "roomcast",
        "description": "Who is connected, what is delivered how late, what is lost or lagging, whether Redis is the limit, which org is loud.",
        "tags": ["roomcast"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "links": [{"title": "Runbooks", "type": "link", "url": RUNBOOKS, "targetBlank": True, "icon": "doc", "tooltip": "What to do when an alert fires", "asDropdown": False,
                   "includeVars": False, "keepTime": False, "tags": []}],
        "annotations": {"list": []},
        "templating": {"list": [
            {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1, "hide": 0,
             "current": {"text": "default", "value": "default"}},
            variable("namespace", "Namespace", 'label_values(roomcast_build_info{job="roomcast"}, namespace)'),
            variable("node", "Node", 'label_values(roomcast_build_info{job="roomcast",namespace=~"$namespace"}, instance)'),
        ]},
        "panels": panels(),
    }


def main():
    text = json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv[1:]:
        PATH.write_text(text, encoding="utf-8")
    elif not PATH.exists() or PATH.read_text(encoding="utf-8") != text:
        sys.exit(f"{PATH} is not what scripts/dashboard.py makes: run it")


if __name__ == "__main__":
    main()
