"""The history: datanommer's database, which holds every past message."""

config = {
    # Where it is, as SQLAlchemy writes it. No default.
    # In production: postgresql://USER:PASSWORD@HOST/datanommer, where reading is enough.
    # This one is a file, below the directory that the daemon is started in.
    "datanommer.sqlalchemy.url": "sqlite:///var/datanommer.db",
}
