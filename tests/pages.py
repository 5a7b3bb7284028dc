"""What the tests of pages share: a page as a browser reads it, and as the XML that it is."""

from html.parser import HTMLParser
from xml.etree import ElementTree


class Reader(HTMLParser):
    """Gathers what a browser would: the text, and each tag with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def said(self):
        tips = (value for _, attributes in self.tags for value in attributes.values() if value)
        return "\n".join([*self.words, *tips])


def parsed(text):
    """Parse the whole page, SVGs and all, as the XML that it is."""
    doctype, _, rest = text.partition("\n")
    assert doctype == "<!DOCTYPE html>"
    return ElementTree.fromstring(rest)
