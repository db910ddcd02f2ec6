// The list of who is here: names, what they do, how loud they are.

const SPEAKING = 35; // sound level, 0 to 100

/** People is the list element and what is known of everybody in it. */
export class People {
  #list;
  #people = new Map(); // userID to {item, meter, note, self, streams, muted}
  #owners = new Map(); // streamID to userID

  /** @param {HTMLElement} list */
  constructor(list) {
    this.#list = list;
  }

  get size() {
    return this.#people.size;
  }

  clear() {
    this.#people.clear();
    this.#owners.clear();
    this.#list.replaceChildren();
  }

  add({ userID, userName }, self = false) {
    if (this.#people.has(userID)) return;
    const name = userName || userID;
    const item = document.createElement('li');
    const initial = element('span', 'initial', [...name][0].toUpperCase());
    initial.setAttribute('aria-hidden', 'true');
    const note = element('span', 'note', '');
    const who = element('div', 'person', '');
    who.append(element('strong', '', self ? `${name} (you)` : name), note);
    const meter = element('div', 'meter', '');
    const attributes = { role: 'meter', 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-label': `Level of ${name}` };
    for (const [key, value] of Object.entries(attributes)) meter.setAttribute(key, value);
    meter.append(document.createElement('span'));
    item.append(initial, who, meter);
    item.dataset.userId = userID;
    this.#list.append(item);
    const person = { item, meter, note, self, streams: new Set(), muted: false };
    this.#people.set(userID, person);
    this.#show(person, 0);
    this.#tell(userID);
  }

  remove(userID) {
    const person = this.#people.get(userID);
    if (!person) return;
    person.item.remove();
    this.#people.delete(userID);
  }

  addStream({ streamID, user, extraInfo }, self = false) {
    this.add(user, self); // a stream may be told before its user
    this.#owners.set(streamID, user.userID);
    this.#people.get(user.userID).streams.add(streamID);
    this.setInfo(streamID, extraInfo);
  }

  removeStream(streamID) {
    const person = this.#of(streamID);
    this.#owners.delete(streamID);
    if (!person) return;
    person.streams.delete(streamID);
    person.muted = false;
    this.#show(person, 0);
    this.#tell(person.item.dataset.userId);
  }

  /** The page tells in its stream's extra info whether it is muted. */
  setInfo(streamID, extraInfo) {
    const person = this.#of(streamID);
    if (!person) return;
    let info = null;
    try {
      info = JSON.parse(extraInfo || 'null');
    } catch {
      // another program's own text
    }
    person.muted = Boolean(info && info.muted);
    this.#tell(person.item.dataset.userId);
  }

  /** @param {{streamID: string, soundLevel: number}[]} levels */
  levels(levels) {
    const loudest = new Map();
    for (const { streamID, soundLevel } of levels) {
      const person = this.#of(streamID);
      if (person) loudest.set(person, Math.max(soundLevel, loudest.get(person) || 0));
    }
    for (const [person, level] of loudest) this.#show(person, level);
  }

  #of(streamID) {
    return this.#people.get(this.#owners.get(streamID));
  }

  #show(person, level) {
    person.meter.setAttribute('aria-valuenow', level);
    person.meter.firstChild.style.transform = `translateX(${level - 100}%)`;
    person.item.classList.toggle('speaking', level >= SPEAKING && !person.muted);
  }

  #tell(userID) {
    const { note, streams, muted, self } = this.#people.get(userID);
    if (muted) note.textContent = 'muted';
    else if (streams.size > 0) note.textContent = self ? 'microphone on' : 'speaks';
    else note.textContent = self ? 'microphone off' : 'listens';
  }
}

function element(tag, className, text) {
  const e = document.createElement(tag);
  e.className = className;
  e.textContent = text;
  return e;
}
