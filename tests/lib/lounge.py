"""The database of a lounge as its own program keeps it: stations, sessions with their segments and orders, sales, vouchers, days."""
import random
import sqlite3

TABLES = {
    "settings": "key TEXT PRIMARY KEY, value TEXT",
    "packages": "id TEXT PRIMARY KEY, name TEXT, name_ar TEXT, price_le INTEGER, bytes_limit INTEGER, time_limit TEXT, profile TEXT, server TEXT, sort_order INTEGER",
    "ps_stations": "id TEXT PRIMARY KEY, station_id TEXT, name TEXT, name_ar TEXT, mac TEXT, hourly_rate INTEGER, hourly_rate_multi INTEGER, status TEXT, monitor_ip TEXT, "
    "monitor_port INTEGER, monitor_type TEXT, timer_end_action TEXT, hdmi_input TEXT, sort_order INTEGER, is_online INTEGER, has_internet INTEGER",
    "ps_menu_items": "id TEXT PRIMARY KEY, name TEXT, name_ar TEXT, category TEXT, price INTEGER, is_available INTEGER, sort_order INTEGER",
    "ps_sessions": "id TEXT PRIMARY KEY, station_id TEXT, started_at INTEGER, ended_at INTEGER, hourly_rate_snapshot INTEGER, total_cost INTEGER, orders_cost INTEGER, "
    "extra_charges INTEGER, transferred_cost INTEGER, current_mode TEXT, started_by TEXT, timer_minutes INTEGER, timer_notified INTEGER, cost_limit_piasters INTEGER, "
    "cost_limit_notified INTEGER, paused_at INTEGER, total_paused_ms INTEGER, notes TEXT",
    "ps_session_segments": "id INTEGER PRIMARY KEY, session_id TEXT, mode TEXT, started_at INTEGER, ended_at INTEGER, hourly_rate_snapshot INTEGER",
    "ps_session_orders": "id INTEGER PRIMARY KEY, session_id TEXT, menu_item_id TEXT, quantity INTEGER, price_snapshot INTEGER, created_at TEXT",
    "ps_session_charges": "id INTEGER PRIMARY KEY, session_id TEXT, amount INTEGER, reason TEXT",
    "ps_session_transfers": "id INTEGER PRIMARY KEY, from_session_id TEXT, to_session_id TEXT, from_station_id TEXT, gaming INTEGER, orders INTEGER, total INTEGER",
    "fnb_sales": "id INTEGER PRIMARY KEY, menu_item_id TEXT, quantity INTEGER, price_snapshot INTEGER, sold_at INTEGER",
    "expenses": "id INTEGER PRIMARY KEY, type TEXT, category TEXT, amount INTEGER, is_active INTEGER",
    "unified_daily_stats": "id INTEGER PRIMARY KEY, date TEXT UNIQUE, wifi_revenue INTEGER, wifi_vouchers_sold INTEGER, wifi_data_sold INTEGER, wifi_data_used INTEGER, "
    "ps_gaming_revenue INTEGER, ps_sessions INTEGER, ps_minutes INTEGER, ps_orders_revenue INTEGER, fnb_revenue INTEGER, fnb_items_sold INTEGER",
    "printed_vouchers": "id INTEGER PRIMARY KEY, voucher_code TEXT UNIQUE, printed_at INTEGER",
    "voucher_usage": "id INTEGER PRIMARY KEY, voucher_code TEXT, mac TEXT, device_name TEXT, ip TEXT, first_connected_at INTEGER, last_connected_at INTEGER, total_bytes INTEGER",
}
START = 1_760_000_000_000  # milliseconds


def write(path, sessions=50, seed=1):
    rand = random.Random(seed)
    db = sqlite3.connect(path)
    for name, columns in TABLES.items():
        db.execute(f"CREATE TABLE {name}({columns})")

    def put(table, *values):
        db.execute(f"INSERT INTO {table} VALUES({', '.join('?' * len(values))})", values)
    put("settings", "business_day_start", "10:00")
    put("packages", "p1", "1 GB", "١ جيجا", 10, 1 << 30, "1d", "default", None, 1)
    for n in range(1, 5):
        put("ps_stations", f"st{n}", f"PS{n}", f"Station {n}", None, f"02:00:00:00:00:0{n}", 4000, 6000, "available", None, None, None, "none", None, n, 1, 0)
        put("ps_menu_items", f"m{n}", f"Tea {n}", "شاي", "hot", 500 * n, 1, n)
    for n in range(1, sessions + 1):
        at = START + n * 3_600_000
        ended = at + rand.randrange(10, 50) * 60_000 if n % 10 else None
        put("ps_sessions", f"s{n}", f"st{rand.randrange(1, 5)}", at, ended, 4000, 3000 if ended else None, 500, 0, 0, "single", "manual", None, 0, None, 0, None, 0, None)
        put("ps_session_segments", n, f"s{n}", "single", at, ended, 4000)
        put("ps_session_orders", n, f"s{n}", f"m{rand.randrange(1, 5)}", 1, 500, "2025-10-09T10:00:00Z")
    put("ps_session_charges", 1, "s1", 1500, "damage")
    put("ps_session_transfers", 1, "s1", "s2", "st1", 3000, 500, 3500)
    put("fnb_sales", 1, "m2", 2, 1000, START)
    put("expenses", 1, "fixed_monthly", "wifi", 90000, 1)
    put("unified_daily_stats", 1, "2025-10-09", 100, 1, 2, 3, 4, 5, 6, 7, 8, 9)
    put("printed_vouchers", 1, "ABC234", START)
    put("voucher_usage", 1, "ABC234", "02:00:00:00:00:09", None, None, START, START + 5, 2**40)
    db.commit()
    db.close()
