"""The speed table: what a metered call costs, beside nginx and pgbench, in one run.

    load (own process) --> web process --> stub vendor (nginx)      the metered call
                       --> relay (nginx) -> stub vendor             the floor
    pgbench ------------> the same PostgreSQL                        what the database can do

pgbench runs as the reference driver runs it (one thread, prepared statements, TPC-B of scale 20),
with 16 and with 64 clients: the goals hold against both. All reach PostgreSQL by loopback TCP.
What limits cost a call has rows of its own (limits.py): their goal is the median of the rounds'
quotients, because the rows of a round are measured at nearly one moment.
Read ratios of one run, and CPU per call: calls/s alone say more about the machine.
"""
