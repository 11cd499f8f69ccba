"""The addresses of staff, below /staff/. What is behind them is Django's admin site."""

from django.urls import path

from staff import (
    acts,
    bills,
    books,
    customers,
    deletions,
    events,
    find,
    lists,
    machines,
    money,
    notices,
    origins,
    prices,
    records,
    vendors,
    viewing,
)

app_name = "staff"
VENDOR, MACHINE = "vendors/<slug:name>", "machines/one/<str:name>"
DRAFT = "prices/drafts/<int:number>"
WORKSPACE, KEY, PERSON = (
    "customers/<uuid:workspace_id>",
    "keys/<uuid:key_id>",
    "people/<uuid:user_id>",
)
urlpatterns = [
    path("", find.home, name="home"),
    path("find", find.find, name="find"),
    path(WORKSPACE, customers.customer, name="customer"),
    path(f"{WORKSPACE}/as/<uuid:user_id>", viewing.view_as, name="view_as"),
    path("viewing/stop", viewing.stop_viewing, name="stop_viewing"),
    path(f"{WORKSPACE}/adjust", acts.adjust, name="adjust"),
    path(f"{WORKSPACE}/pause", acts.pause, name="pause"),
    path(f"{WORKSPACE}/release", acts.release, name="release"),
    path(f"{WORKSPACE}/slots", acts.slots, name="slots"),
    path(f"{WORKSPACE}/note", acts.note, name="note"),
    path(f"{KEY}/disable", acts.disable_key, name="disable_key"),
    path(f"{KEY}/enable", acts.enable_key, name="enable_key"),
    path(f"{KEY}/revoke", acts.revoke_key, name="revoke_key"),
    path(f"{PERSON}/deactivate", acts.deactivate, name="deactivate"),
    path(f"{PERSON}/reactivate", acts.reactivate, name="reactivate"),
    path(f"{PERSON}/delete", acts.enter_deletion, name="enter_deletion"),
    path("calls/<uuid:call_id>", customers.call, name="call"),
    path("purchases/<uuid:top_up_id>", customers.purchase, name="purchase"),
    path("purchases/<uuid:top_up_id>/refund", acts.refund, name="refund"),
    path("money", money.money, name="money"),
    *(
        path(
            f"money/{kind}/<uuid:pk>/{verb}",
            getattr(money, f"{verb}_{kind}"),
            name=f"{verb}_{kind}",
        )
        for kind in ("adjustment", "refund_ask", "voucher")
        for verb in ("accept", "refuse")
    ),
    path("vouchers", money.voucher_list, name="vouchers"),
    path("vouchers/make", money.make_voucher, name="make_voucher"),
    path("vouchers/<uuid:voucher_id>/stop", money.stop_voucher, name="stop_voucher"),
    path(f"{WORKSPACE}/calls", records.calls, name="calls"),
    path(f"{WORKSPACE}/entries", records.ledger, name="ledger"),
    path("origins", origins.origin_list, name="origins"),
    path("origins/allow", origins.allow_origin, name="allow_origin"),
    path("origins/refused/allow", origins.allow_refused, name="allow_refused"),
    path("origins/refused/hide", origins.hide_refused, name="hide_refused"),
    path("origins/<int:origin_id>/remove", origins.remove_origin, name="remove_origin"),
    path("deletions", deletions.deletion_list, name="deletions"),
    path("deletions/<uuid:deletion_id>/cancel", deletions.cancel_deletion, name="cancel_deletion"),
    path("deletions/<uuid:deletion_id>/look", deletions.look_again, name="look_again"),
    path("log", records.log, name="log"),
    path("tables", records.tables, name="tables"),
    path("vendors", vendors.vendor_list, name="vendors"),
    path(VENDOR, vendors.vendor, name="vendor"),
    path(f"{VENDOR}/off", vendors.switch_off, name="switch_off"),
    path(f"{VENDOR}/on", vendors.switch_on, name="switch_on"),
    path(f"{VENDOR}/accounts", vendors.add_account, name="add_account"),
    *(
        path(
            f"{VENDOR}/accounts/<slug:account>/{verb}",
            getattr(vendors, f"{verb}_account"),
            name=f"{verb}_account",
        )
        for verb in ("weigh", "disable", "enable", "remove")
    ),
    path("machines", machines.machine_list, name="machines"),
    path("machines/add", machines.add_machine, name="add_machine"),
    path(f"{MACHINE}/drain", machines.drain_machine, name="drain_machine"),
    path(f"{MACHINE}/back", machines.take_machine_back, name="take_machine_back"),
    path(f"{MACHINE}/remove", machines.remove_machine, name="remove_machine"),
    path("books", books.books, name="books"),
    path("books/proof", books.proof, name="proof"),
    path("prices", prices.price_list, name="prices"),
    path("prices/draft", prices.draft_prices, name="draft_prices"),
    path("prices/lists", lists.price_lists, name="price_lists"),
    path("prices/lists/draft", lists.draft_to_lists, name="draft_to_lists"),
    path(DRAFT, prices.price_draft, name="price_draft"),
    path(f"{DRAFT}/compare", prices.compare_prices, name="compare_prices"),
    path(f"{DRAFT}/term", prices.set_term, name="set_term"),
    path(f"{DRAFT}/without/<path:term>", prices.drop_term, name="drop_term"),
    path(f"{DRAFT}/publish", prices.publish_prices, name="publish_prices"),
    path(f"{DRAFT}/discard", prices.discard_draft, name="discard_draft"),
    path("margin", bills.margin, name="margin"),
    path("margin/export", bills.bring_in, name="bring_in"),
    path("margin/exports/<int:number>", bills.bill, name="bill"),
    path("notices", notices.notice_list, name="notices"),
    path("notices/banner", notices.put_up_banner, name="put_up_banner"),
    path("notices/banner/<int:banner_id>/down", notices.take_down_banner, name="take_down_banner"),
    path("notices/pause", notices.begin_maintenance, name="begin_maintenance"),
    path("notices/resume", notices.end_maintenance, name="end_maintenance"),
    path("events", events.event_list, name="events"),
    path("events/<slug:event_id>", events.event, name="event"),
    path("events/<slug:event_id>/try", events.try_event, name="try_event"),
    path("findings/<path:key>", events.settle_finding, name="settle_finding"),
]
