from cqrsbus import Command, Event, Query


class AddNote(Command, topic="note.add"):
    text: str


class NoteAdded(Event, topic="note.added"):
    number: int
    text: str


class FindNotes(Query[list[str]], topic="note.find"):
    word: str
