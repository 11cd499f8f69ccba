"""Three machines on one: `python3 dev.py cluster`, from the files of deploy/.

    etcd x3 <- link x3 <- Patroni x3 <- web x3 <- HAProxy <- callers
                                     <- workers, beats <- Redis x3, Sentinel x3

Each program has its own folder and ports; what docs/install.md tells for three machines is what
runs here, and `--prove` kills one after the other under load.
"""
