from cqrsbus import Bus

from .messages import AddNote, FindNotes, NoteAdded

bus = Bus("desk", requires=[AddNote, FindNotes, NoteAdded])
