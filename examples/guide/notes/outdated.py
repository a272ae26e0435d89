from cqrsbus import Bus, Command, Query


class AddNote(Command, topic="note.add"):
    words: list[str]


class CountNotes(Query[int], topic="note.count"):
    word: str


bus = Bus("outdated", requires=[AddNote, CountNotes])
