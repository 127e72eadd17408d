"""Makes mail that looks real, the same for the same seed, and reads the corpus of real mail.

Every body ends its lines with CRLF, as IMAP hands it out. Dates are whole seconds.
"""

import base64
import binascii
import os
import random
import re
import sys
import tarfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
YEAR_S = 31557600
FIRST_S = 1388534400  # 2014-01-01


class Message:
    """One message: body in bytes, date (INTERNALDATE) in seconds, flags as IMAP words."""

    __slots__ = ("body", "date", "flags")

    def __init__(self, body, date, flags=()):
        self.body, self.date, self.flags = body, date, tuple(flags)


LANGUAGES = {
    "en": (["Anna Smith", "Tom O'Brien", "Grace Hopper", "Peter Clarke"],
           ["Minutes of the meeting", "Draft of chapter three", "Invoice for March",
            "Room booking on Friday", "Question about the exam", "Server maintenance tonight"],
           ["Thank you for the quick answer, that settles most of it.",
            "I have attached the figures from last week; the second sheet is the important one.",
            "Could we move the appointment to Thursday afternoon, about half past two?",
            "The library closes at six during the holidays, so please bring the books before.",
            "Nobody has objected so far, which I take as a good sign.",
            "Please find the corrected version below and tell me what is still missing."]),
    "de": (["Jürgen Müller", "Käthe Groß", "Sören Weiß", "Änne Schröder"],
           ["Prüfungstermine im Wintersemester", "Rückfrage zur Übung 7", "Einladung zur Sitzung",
            "Ihre Bestellung über drei Bücher", "Kündigung des Wartungsvertrags"],
           ["Herzlichen Dank für Ihre schnelle Rückmeldung.",
            "Im Anhang finden Sie die geänderten Unterlagen für die nächste Sitzung.",
            "Könnten wir den Termin auf Donnerstag, den 12. März, verschieben?",
            "Die Öffnungszeiten der Bibliothek ändern sich während der vorlesungsfreien Zeit.",
            "Bitte beachten Sie, dass die Frist am Monatsende abläuft.",
            "Über die übrigen Punkte müssten wir noch einmal ausführlich sprechen."]),
    "fr": (["Élise Lefèvre", "François Dubois", "Chloé Noël", "Benoît Gérard"],
           ["Compte rendu de la réunion", "Où en est le dossier ?", "Congés d'été",
            "Réponse à votre demande du 3 février"],
           ["Merci beaucoup pour votre réponse détaillée.",
            "Vous trouverez ci-joint le procès-verbal de la dernière séance.",
            "Pourriez-vous m'indiquer à quelle heure la salle sera libérée ?",
            "Le délai a été prolongé jusqu'à la fin du mois prochain.",
            "Nous n'avons reçu aucune objection à ce jour."]),
    "es": (["José Núñez", "María Peña", "Íñigo Ibáñez"],
           ["Reunión del próximo martes", "Información sobre la matrícula",
            "¿Habéis recibido esto?"],
           ["Muchas gracias por su rápida respuesta.",
            "Adjunto le envío el informe corregido con los últimos cambios.",
            "¿Podríamos aplazar la reunión hasta el jueves por la mañana?",
            "El plazo de inscripción termina mañana a las doce.",
            "No dude en ponerse en contacto con nosotros si tiene alguna pregunta."]),
    "ja": (["山田太郎", "佐藤花子", "鈴木一郎"],
           ["会議の議事録", "来週の打ち合わせについて", "請求書の送付"],
           ["いつもお世話になっております。", "先日の会議の資料を添付いたしますので、ご確認ください。",
            "来週の木曜日の午後に変更していただけますでしょうか。", "締め切りは今月末です。",
            "ご不明な点がございましたら、お気軽にお問い合わせください。"]),
    "ru": (["Иван Петров", "Ольга Смирнова", "Дмитрий Кузнецов"],
           ["Протокол заседания", "Вопрос о расписании", "Счёт за март"],
           ["Большое спасибо за быстрый ответ.",
            "Во вложении находится исправленная версия документа.",
            "Можно ли перенести встречу на четверг после обеда?",
            "Срок подачи заявлений истекает в конце месяца.",
            "Пожалуйста, сообщите, если чего-то не хватает."]),
    "ar": (["أحمد علي", "فاطمة حسن", "يوسف إبراهيم"],
           ["محضر الاجتماع", "سؤال عن الموعد", "فاتورة شهر مارس"],
           ["شكرا جزيلا على ردكم السريع.", "تجدون في المرفق النسخة المصححة من التقرير.",
            "هل يمكننا تأجيل الموعد إلى يوم الخميس بعد الظهر؟", "ينتهي الموعد في آخر الشهر."]),
    "zh": (["王小明", "李华", "陈美玲"],
           ["会议纪要", "关于下周的安排", "三月份发票 🧾"],
           ["非常感谢您的快速回复。", "附件是修改后的报告，请查收。",
            "我们能否把会议改到星期四下午？", "报名截止日期是本月底。", "如有任何问题，请随时与我联系。"]),
}

# Share of the mail, path, flags that the folder's mail mostly has.
TREE = [
    (30, ("INBOX",)), (14, ("Sent",)), (4, ("Drafts",)), (5, ("Trash",)), (4, ("Junk",)),
    (9, ("Archive", "2019")), (7, ("Archive", "2020")), (3, ("Archive", "2020", "Q4")),
    (7, ("Projekte", "Übung & Prüfung")), (5, ("Réunions d'équipe",)), (4, ("Рассылки",)),
    (4, ("議事録", "2021年")), (2, ("Lists", "linux-kernel")), (1, ("مشاريع",)), (1, ("Empty? no",)),
]
EMPTY = ("Nothing here",)
KEYWORDS = ["$Forwarded", "$MDNSent", "NonJunk", "Work", "Personal"]


def header_text(text):
    """A header value, RFC 2047 encoded when it needs to be, folded after each word."""
    if text.isascii():
        return text
    words, start = [], 0
    while start < len(text):
        words.append("=?UTF-8?B?" +
                     base64.b64encode(text[start:start + 12].encode()).decode() + "?=")
        start += 12
    return "\r\n ".join(words)


def base64_lines(data):
    flat = base64.b64encode(data)
    return b"\r\n".join(flat[i:i + 76] for i in range(0, len(flat), 76)) + b"\r\n"


class Maker:
    """Makes one user's mail. Threads: about a third of the mail answers an earlier one."""

    def __init__(self, seed, owner="owner@source.example"):
        self.random = random.Random(seed)
        self.owner = owner
        self.serial = 0
        self.previous = []
        # Attachments are slices of this: new random bytes for each would cost more than all the
        # rest, and what matters is only that they do not compress.
        self.noise = base64_lines(self.random.randbytes(57 * 20000))

    def paragraphs(self, sentences, size):
        r, lines, total = self.random, [], 0
        while total < size:
            line = r.choice(sentences)
            if r.random() < 0.2:
                line += "\r\n"
            lines.append(line)
            total += len(line.encode()) + 2
        return "\r\n".join(lines) + "\r\n"

    def base64_noise(self, size):
        out, line = [], 78
        while size > 0:
            start = self.random.randrange(0, len(self.noise) // line - 1) * line
            piece = self.noise[start:start + max(line, min(size, 600000) // line * line)]
            out.append(piece)
            size -= len(piece)
        return b"".join(out)

    def message(self, size, date, flags=()):
        """A message of about `size` bytes in all."""
        r = self.random
        self.serial += 1
        names, subjects, sentences = LANGUAGES[r.choice(list(LANGUAGES))]
        sender, subject = r.choice(names), r.choice(subjects)
        when = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(date - r.randrange(30)))
        ident = "<%d.%08x@mail%d.example>" % (self.serial, r.getrandbits(32), r.randrange(5))
        noise = base64.b64encode(r.randbytes(150)).decode()
        head = [
            "Return-Path: <sender%d@mail.example>" % r.randrange(50),
            "Received: from mx%d.example (mx.example [192.0.2.%d])\r\n\tby mail.source.example "
            "(Postfix) with ESMTPS id %08X;\r\n\t%s" % (r.randrange(4), r.randrange(255),
                                                      r.getrandbits(32), when),
            "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=mail.example; s=s1;\r\n\tb="
            + "\r\n\t ".join(noise[i:i + 66] for i in range(0, len(noise), 66)),
            "Date: " + when,
            "From: %s <sender%d@mail.example>" % (header_text(sender), r.randrange(50)),
            "To: " + self.owner,
        ]
        if self.previous and r.random() < 0.35:
            parent_id, parent_subject = r.choice(self.previous)
            head += ["In-Reply-To: " + parent_id, "References: " + parent_id]
            subject = "Re: " + parent_subject
        head += ["Subject: " + header_text(subject), "Message-ID: " + ident, "MIME-Version: 1.0",
                 "X-Mailer: " + r.choice(["Thunderbird 115", "Apple Mail (2.3445)", "mutt/2.2"])]
        self.previous = (self.previous + [(ident, subject)])[-40:]

        used = sum(len(line) + 2 for line in head)
        room = max(40, size - used)
        shape = r.random() if room < 20000 else 0.95
        if shape < 0.3:
            body = self.plain(sentences, room)
        elif shape < 0.85:
            body = self.html(sentences, room, subject)
        else:
            body = self.attachment(sentences, room)
        return Message("\r\n".join(head).encode() + b"\r\n" + body, date, flags)

    def plain(self, sentences, room):
        if self.random.random() < 0.5:
            text = self.paragraphs(sentences, room).encode()
            return (b"Content-Type: text/plain; charset=utf-8\r\n"
                    b"Content-Transfer-Encoding: 8bit\r\n\r\n" + text)
        text = self.paragraphs(sentences, room * 3 // 4).encode()
        return (b"Content-Type: text/plain; charset=utf-8\r\n"
                b"Content-Transfer-Encoding: base64\r\n\r\n" + base64_lines(text))

    def html(self, sentences, room, subject):
        mark = "=_%016x" % self.random.getrandbits(64)
        text = self.paragraphs(sentences, room // 4)
        page = "<html><body><h1>%s</h1>\r\n<p>%s</p></body></html>\r\n" % (
            subject, text.replace("\r\n", "<br>\r\n"))
        parts = ["Content-Type: multipart/alternative; boundary=\"%s\"" % mark, ""]
        out = "\r\n".join(parts).encode() + b"\r\n"
        for kind, content in (("plain", text), ("html", page)):
            out += ("--%s\r\nContent-Type: text/%s; charset=utf-8\r\n"
                    "Content-Transfer-Encoding: quoted-printable\r\n\r\n" % (mark, kind)).encode()
            out += binascii.b2a_qp(content.encode(), istext=True) + b"\r\n"
        return out + ("--%s--\r\n" % mark).encode()

    def attachment(self, sentences, room):
        r = self.random
        mark = "=_%016x" % r.getrandbits(64)
        text = self.paragraphs(sentences, min(2000, room // 3)).encode()
        kind, name, magic = r.choice([
            ("application/pdf", "Bericht.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"),
            ("image/png", "photo.png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"),
            ("application/zip", "archive.zip", b"PK\x03\x04\x14\x00\x08\x00\x08\x00")])
        out = ("Content-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n--%s\r\n"
               "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
               % (mark, mark)).encode() + text
        out += ("\r\n--%s\r\nContent-Type: %s; name=\"%s\"\r\nContent-Transfer-Encoding: base64\r\n"
                "Content-Disposition: attachment; filename=\"%s\"\r\n\r\n"
                % (mark, kind, name, name)).encode()
        # The first line carries the magic number, the rest is a slice of noise.
        out += base64_lines(magic.ljust(57, b"\0"))
        out += self.base64_noise(max(78, room - len(text) - 400))
        return out + ("--%s--\r\n" % mark).encode()

    def size(self, kind):
        r = self.random
        if kind == "small":  # about 10 KB
            return int(min(60000, max(1200, r.lognormvariate(8.95, 0.7))))
        # mixed: mean about 75 KB; the 25 MB one is rare enough to add 12 KB to the mean.
        pick = r.random()
        if pick < 0.60:
            return r.randrange(1500, 10000)
        if pick < 0.85:
            return r.randrange(10000, 60000)
        if pick < 0.98:
            return r.randrange(60000, 380000)
        if pick < 0.9995:
            return r.randrange(500000, 2000000)
        return 25 * 1000 * 1000

    def flags(self, path):
        r, flags = self.random, []
        if r.random() < (0.97 if path == ("Sent",) else 0.8):
            flags.append("\\Seen")
        for flag, share in (("\\Answered", 0.2), ("\\Flagged", 0.08), ("\\Deleted", 0.01)):
            if r.random() < share:
                flags.append(flag)
        if path == ("Drafts",):
            flags.append("\\Draft")
        if r.random() < 0.15:
            flags.append(r.choice(KEYWORDS))
        return flags

    def date(self, span_years=10):
        return FIRST_S + self.random.randrange(span_years * YEAR_S)


def mailbox(seed, count, kind="small", tree=None, owner="owner@source.example"):
    """{path: [Message]} with about `count` messages over the folders of `tree`, and an empty
    one."""
    maker = Maker(seed, owner)
    tree = tree or TREE
    total = sum(share for share, _ in tree)
    folders = {}
    for share, path in tree:
        n = max(1, count * share // total)
        dates = sorted(maker.date() for _ in range(n))
        folders[path] = [maker.message(maker.size(kind), date, maker.flags(path))
                         for date in dates]
    folders[EMPTY] = []
    return folders


def tiny(serial, date=None, flags=("\\Seen",), extra=b""):
    """A small message made quickly; `serial` makes it unlike all others."""
    date = FIRST_S + serial % (10 * YEAR_S) if date is None else date
    body = (b"From: <a@mail.example>\r\nTo: <b@mail.example>\r\nSubject: Message %d\r\n"
            b"Message-ID: <tiny.%d@mail.example>\r\nDate: Wed, 01 Jan 2014 00:00:00 +0000\r\n\r\n"
            b"This is message %d.\r\n%s" % (serial, serial, serial, extra))
    return Message(body, date, flags)


def big(seed, size):
    """One message of exactly `size` bytes, mostly one attachment that does not compress."""
    maker = Maker(seed)
    message = maker.message(size - 200000, FIRST_S + YEAR_S, ("\\Seen",))
    filler = (b"x" * 76 + b"\r\n") * ((size - len(message.body)) // 78 + 1)
    # No line end is cut in two: servers make of CR CR LF what they like.
    message.body = re.sub(rb"\r$", b"x", (message.body + filler)[:size - 2]) + b"\r\n"
    return message


def crlf(data):
    return re.sub(rb"(?<!\r)\n", b"\r\n", data)


def corpus_path():
    """The corpus archive, or None: $MAILHAUL_CORPUS, else shared/corpus beside the repository."""
    path = os.environ.get("MAILHAUL_CORPUS") or os.path.join(
        os.path.dirname(ROOT), "shared", "corpus", "corpus.tar.xz")
    return path if os.path.exists(path) else None


def corpus(parts=("real", "odd", "fixtures")):
    """Yields (name, bytes with CRLF line ends) for each message that is not empty."""
    path = corpus_path()
    if os.path.isdir(path):
        names = (os.path.join(folder, f) for folder, _, files in os.walk(path) for f in files)
        for name in sorted(names):
            relative = os.path.relpath(name, path)
            if relative.split(os.sep)[0] in parts:
                with open(name, "rb") as f:
                    data = crlf(f.read())
                if data:
                    yield relative, data
        return
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and member.name.lstrip("./").split("/")[0] in parts:
                data = crlf(archive.extractfile(member).read())
                if data:
                    yield member.name, data


if __name__ == "__main__":
    seed, count, kind = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    began = time.monotonic()
    made = mailbox(seed, count, kind)
    sizes = [len(m.body) for box in made.values() for m in box]
    print("%d messages, mean %d, max %d bytes, %.2f s" % (
        len(sizes), sum(sizes) / len(sizes), max(sizes), time.monotonic() - began))
