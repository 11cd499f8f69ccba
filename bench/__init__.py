"""The speed table: what a metered call costs, beside nginx and pgbench, in one run.

    load (own process) --> web process --> stub vendor (nginx)      the metered call
                       --> relay (nginx) -> stub vendor             the floor
    pgbench ------------> the same PostgreSQL                        what the database can do

Read ratios of one run, and CPU per call: calls/s alone say more about the machine.
"""
