"""Tables that are not ticketlab's: shows whose stock is counted with or without a constraint, and a row a seat."""

from uuid import UUID

from ticketlab import Schema

SHOWS = """
CREATE TABLE shows (id uuid PRIMARY KEY, seats integer NOT NULL, seats_left integer NOT NULL);
CREATE TABLE sales (show uuid NOT NULL REFERENCES shows, purchase_id uuid NOT NULL);
CREATE INDEX ON sales (show);
"""
TAKEN_BY_A_TRIGGER = """
CREATE FUNCTION take_a_seat() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE shows SET seats_left = seats_left - 1 WHERE id = NEW.show AND seats_left > 0;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'sold out' USING ERRCODE = 'P0001';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER take_a_seat BEFORE INSERT ON sales FOR EACH ROW EXECUTE FUNCTION take_a_seat();
"""
SOLD_BY_A_FUNCTION = """
CREATE FUNCTION sell(wanted_show uuid, quantity integer, purchase uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE shows SET seats_left = seats_left - quantity WHERE id = wanted_show AND seats_left >= quantity;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO sales SELECT wanted_show, purchase FROM generate_series(1, quantity);
    RETURN true;
END
$$;
"""
SEATS = """
CREATE TABLE seats (id serial PRIMARY KEY, show uuid NOT NULL, purchase_id uuid);
CREATE INDEX ON seats (show, id) WHERE purchase_id IS NULL;
"""


def shows(more="", *, extra_seats=0, stock_is_kept=True):
    """A schema of shows; `more` statements, so many seats more than the lab asks for, and whether stock is told."""

    def lay_out(connection, stock):
        connection.execute(SHOWS + more)
        for show, seats in stock.items():
            number = seats + extra_seats
            connection.execute("INSERT INTO shows VALUES (%s, %s, %s)", [show, number, number])

    def events(connection):
        rows = connection.execute("SELECT id, seats, seats_left FROM shows")
        return [(show, seats, left if stock_is_kept else None, None) for show, seats, left in rows]

    def tickets(connection):
        return connection.execute("SELECT show, purchase_id FROM sales").fetchall()

    return Schema(lay_out=lay_out, events=events, tickets=tickets)


def seat_by_seat():
    """A schema with a row a seat, which keeps neither stock nor version."""

    def lay_out(connection, stock):
        connection.execute(SEATS)
        for show, seats in stock.items():
            connection.execute("INSERT INTO seats (show) SELECT %s FROM generate_series(1, %s)", [show, seats])

    def events(connection):
        rows = connection.execute("SELECT show, count(*), count(*) - count(purchase_id) FROM seats GROUP BY show")
        return [(UUID(str(show)), seats, left, None) for show, seats, left in rows]

    def tickets(connection):
        return connection.execute("SELECT show, purchase_id FROM seats WHERE purchase_id IS NOT NULL").fetchall()

    return Schema(lay_out=lay_out, events=events, tickets=tickets)
