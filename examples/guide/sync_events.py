from cqrsbus import Bus, Event

bus = Bus("thermometer", "memory:")


class Measured(Event, topic="room.measured"):
    celsius: float


def main() -> None:
    with bus.sync() as b, b.subscribe("room.*", Measured) as measured:
        b.publish(Measured(celsius=21.5))
        print(next(measured).celsius)


if __name__ == "__main__":
    main()
