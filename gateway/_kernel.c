/*
 * What is tight and pure on the bulk path, in C. `LineReader` accepts the same lines as `LineTable` in
 * gateway/proxy/http1/line_table.py, which is its reference, and hands them on as one block.
 *
 * Nothing is made of a line before it is asked for: no value, no copy. `Fields` looks a value up by
 * its name, and `Lines` cuts a line out, or joins those that are forwarded.
 *
 * `PathReader` reads targets that are canonical as they are; its reference is `canonical_target` in
 * gateway/routing/target.py and the walk in gateway/routing/table.py.
 *
 * `json_line` writes a line of the access log, octet by octet as orjson does, but for exponents; its
 * reference is `python_json_lines` in gateway/telemetry/access_line.py.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MAX_LINES 128
#define MAX_NAME_BYTES 64
#define NAME_SLOTS 4096 /* a power of two, four times the names that are learnt */
#define MAX_NAMES 1024
#define MAX_NEW_NAMES 20 /* in one head: to learn more would cost more than to parse it */
#define SHAPES 256
#define MAX_KEYS 1024

enum kind { USUAL, COOKIE, CONNECTION, LENGTH, LEFT_TO_PARSER };

/* A field name as its bytes were sent. */
typedef struct {
    uint64_t hash;
    PyObject *name;  /* as the parser hands it over: an istr */
    PyObject *lower;
    Py_hash_t lower_hash;
    enum kind kind;
    uint32_t size;
    char raw[MAX_NAME_BYTES];
} Name;

/* The names of a head, in order: clients send the same with other values. */
typedef struct {
    PyObject_HEAD
    uint64_t hash;
    PyObject *names;
    PyObject *lower;
    int count;
    int is_fit; /* one Host, and no name twice */
    int cookie; /* index of Cookie; -1 without it */
    Py_hash_t lower_hash[MAX_LINES];
    Name *key[MAX_LINES]; /* for comparison alone: names may be forgotten before a shape */
} Shape;

typedef struct {
    uint32_t at, size, value_at; /* value_at counts from the start of the line */
} Line;

typedef struct {
    PyObject_VAR_HEAD
    PyObject *block;
    Shape *shape;
    PyObject *cookie; /* its value with a memo; NULL without the field */
    PyObject *make;   /* makes a CIMultiDictProxy of (name, value) pairs */
    PyObject *made;
    Line lines[1];
} Fields;

typedef struct {
    PyObject_HEAD
    Fields *fields;
} Lines;

typedef struct {
    PyObject_HEAD
    uint64_t seed;
    PyObject *text_of, *cookies, *judge_cookie, *received, *make;
    int name_count;
    Name *names[NAME_SLOTS];
    Shape *shapes[SHAPES];
} LineReader;

static PyTypeObject Shape_Type, Fields_Type, Lines_Type, LineReader_Type;
static PyObject *lower_by_key; /* what look-ups ask for, to the lower-case name */

/* --- hashing ----------------------------------------------------------------------------- */

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_bytes(uint64_t seed, const char *bytes, size_t size)
{
    uint64_t hash = seed ^ size, word;
    while (size >= 8) {
        memcpy(&word, bytes, 8);
        hash = mix(hash ^ word, 0xD6E8FEB86659FD93ull);
        bytes += 8;
        size -= 8;
    }
    word = 0;
    memcpy(&word, bytes, size);
    return mix(hash ^ word, 0xA0761D6478BD642Full);
}

/* --- names and shapes -------------------------------------------------------------------- */

static void shape_dealloc(Shape *shape)
{
    Py_XDECREF(shape->names);
    Py_XDECREF(shape->lower);
    PyObject_Free(shape);
}

/* Say whether two lower-case names are one. They are not interned: Python 3.12 never frees such. */
static inline int is_same(PyObject *name, Py_hash_t hash, PyObject *other, Py_hash_t other_hash)
{
    return hash == other_hash && (name == other || PyUnicode_Compare(name, other) == 0);
}

static PyTypeObject Shape_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "gateway._kernel._Shape",
    .tp_basicsize = sizeof(Shape),
    .tp_dealloc = (destructor)shape_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
};

static void forget_names(LineReader *reader)
{
    for (int index = 0; index < SHAPES; index++) /* they refer to names */
        Py_CLEAR(reader->shapes[index]);
    for (int index = 0; index < NAME_SLOTS; index++) {
        Name *name = reader->names[index];
        if (name != NULL) {
            Py_DECREF(name->name);
            Py_DECREF(name->lower);
            PyMem_Free(name);
            reader->names[index] = NULL;
        }
    }
    reader->name_count = 0;
}

/* Make an entry of what `text_of` says of a name; NULL, without an error, if it is none. */
static Name *judge_name(LineReader *reader, const char *raw, uint32_t size)
{
    PyObject *text, *known = PyObject_CallFunction(reader->text_of, "y#", raw, (Py_ssize_t)size);
    if (known == NULL) {
        if (PyErr_ExceptionMatches(PyExc_ValueError))
            PyErr_Clear();
        return NULL;
    }
    text = known == Py_None ? PyUnicode_FromString("") : PyUnicode_FromObject(known);
    PyObject *lower = text == NULL ? NULL : PyObject_CallMethod(text, "lower", NULL);
    Py_XDECREF(text);
    Name *name = lower == NULL ? NULL : PyMem_Calloc(1, sizeof(Name));
    if (name == NULL) {
        Py_DECREF(known);
        Py_XDECREF(lower);
        return NULL;
    }
    name->name = known;
    name->lower = lower;
    name->lower_hash = PyObject_Hash(lower);
    name->size = size;
    memcpy(name->raw, raw, size);
    if (known == Py_None)
        name->kind = LEFT_TO_PARSER;
    else if (PyUnicode_CompareWithASCIIString(lower, "cookie") == 0)
        name->kind = COOKIE;
    else if (PyUnicode_CompareWithASCIIString(lower, "connection") == 0)
        name->kind = CONNECTION;
    else if (PyUnicode_CompareWithASCIIString(lower, "content-length") == 0)
        name->kind = LENGTH;
    return name;
}

/* Return the entry of a name, and learn it; NULL, perhaps with an error, if it is none. */
static Name *find_name(LineReader *reader, const char *raw, uint32_t size, int *new_names)
{
    uint64_t hash = hash_bytes(reader->seed, raw, size);
    uint32_t slot = hash & (NAME_SLOTS - 1);
    for (Name *name; (name = reader->names[slot]) != NULL; slot = (slot + 1) & (NAME_SLOTS - 1))
        if (name->hash == hash && name->size == size && memcmp(name->raw, raw, size) == 0)
            return name;
    if (reader->name_count >= MAX_NAMES || ++*new_names > MAX_NEW_NAMES)
        return NULL;
    Name *name = judge_name(reader, raw, size);
    if (name != NULL) {
        name->hash = hash;
        reader->names[slot] = name;
        reader->name_count++;
    }
    return name;
}

static Shape *make_shape(uint64_t hash, Name **names, int count)
{
    Shape *shape = PyObject_New(Shape, &Shape_Type);
    if (shape == NULL)
        return NULL;
    int hosts = 0;
    shape->hash = hash;
    shape->count = count;
    shape->is_fit = 1;
    shape->cookie = -1;
    shape->names = PyTuple_New(count);
    shape->lower = PyTuple_New(count);
    if (shape->names == NULL || shape->lower == NULL) {
        Py_DECREF(shape);
        return NULL;
    }
    memcpy(shape->key, names, count * sizeof(*names));
    for (int index = 0; index < count; index++) {
        PyTuple_SET_ITEM(shape->names, index, Py_NewRef(names[index]->name));
        PyTuple_SET_ITEM(shape->lower, index, Py_NewRef(names[index]->lower));
        shape->lower_hash[index] = names[index]->lower_hash;
        hosts += PyUnicode_CompareWithASCIIString(names[index]->lower, "host") == 0;
        if (names[index]->kind == COOKIE)
            shape->cookie = index;
        for (int before = 0; before < index; before++)
            if (is_same(names[before]->lower, names[before]->lower_hash, names[index]->lower,
                        names[index]->lower_hash))
                shape->is_fit = 0;
    }
    shape->is_fit = shape->is_fit && hosts == 1;
    return shape;
}

/* Return a borrowed shape; NULL with an error. */
static Shape *find_shape(LineReader *reader, Name **names, int count)
{
    uint64_t hash = reader->seed ^ count;
    for (int index = 0; index < count; index++)
        hash = mix(hash ^ (uint64_t)(uintptr_t)names[index], 0xD6E8FEB86659FD93ull);
    Shape **slot = &reader->shapes[hash & (SHAPES - 1)], *shape = *slot;
    if (shape != NULL && shape->hash == hash && shape->count == count &&
        memcmp(shape->key, names, count * sizeof(*names)) == 0)
        return shape;
    if ((shape = make_shape(hash, names, count)) != NULL)
        Py_XSETREF(*slot, shape);
    return shape;
}

/* --- the fields of a head, by name ------------------------------------------------------- */

static void fields_dealloc(Fields *fields)
{
    Py_XDECREF(fields->block);
    Py_XDECREF(fields->shape);
    Py_XDECREF(fields->cookie);
    Py_XDECREF(fields->make);
    Py_XDECREF(fields->made);
    PyObject_Free(fields);
}

/* Return the index of a name; -1 without it, -2 with an error. */
static int index_of(Fields *fields, PyObject *key)
{
    if (!PyUnicode_Check(key))
        return -1;
    PyObject *lower = PyDict_GetItemWithError(lower_by_key, key);
    if (lower == NULL) {
        if (PyErr_Occurred())
            return -2;
        PyObject *text = PyUnicode_FromObject(key); /* of an istr: `lower` would make another */
        PyObject *made = text == NULL ? NULL : PyObject_CallMethod(text, "lower", NULL);
        Py_XDECREF(text);
        if (made == NULL)
            return -2;
        if (PyDict_GET_SIZE(lower_by_key) >= MAX_KEYS)
            PyDict_Clear(lower_by_key);
        int failed = PyObject_Hash(made) == -1 || PyDict_SetItem(lower_by_key, key, made);
        lower = made;
        Py_DECREF(made); /* the table has it */
        if (failed)
            return -2;
    }
    Shape *shape = fields->shape;
    Py_hash_t hash = ((PyASCIIObject *)lower)->hash; /* was computed when it was made */
    for (int index = 0; index < shape->count; index++)
        if (is_same(lower, hash, PyTuple_GET_ITEM(shape->lower, index), shape->lower_hash[index]))
            return index;
    return -1;
}

static PyObject *text_at(Fields *fields, int index)
{
    Line *line = &fields->lines[index];
    uint32_t size = line->size - line->value_at;
    PyObject *text = PyUnicode_New(size, 127); /* all of it was judged to be visible ASCII */
    if (text != NULL)
        memcpy(PyUnicode_1BYTE_DATA(text),
               PyBytes_AS_STRING(fields->block) + line->at + line->value_at, size);
    return text;
}

static PyObject *value_at(Fields *fields, int index)
{
    if (fields->cookie != NULL && index == fields->shape->cookie)
        return Py_NewRef(fields->cookie);
    return text_at(fields, index);
}

static PyObject *fields_made(Fields *fields)
{
    if (fields->made == NULL) {
        PyObject *pairs = PyList_New(0);
        for (int index = 0; pairs != NULL && index < fields->shape->count; index++) {
            PyObject *value = value_at(fields, index), *pair = NULL;
            if (value != NULL)
                pair = PyTuple_Pack(2, PyTuple_GET_ITEM(fields->shape->names, index), value);
            Py_XDECREF(value);
            if (pair == NULL || PyList_Append(pairs, pair) < 0)
                Py_CLEAR(pairs);
            Py_XDECREF(pair);
        }
        if (pairs == NULL)
            return NULL;
        fields->made = PyObject_CallOneArg(fields->make, pairs);
        Py_DECREF(pairs);
    }
    return fields->made;
}

static PyObject *fields_get(Fields *fields, PyObject *const *args, Py_ssize_t count)
{
    if (count < 1 || count > 2) {
        PyErr_SetString(PyExc_TypeError, "get takes a name, and what to return without it");
        return NULL;
    }
    int index = index_of(fields, args[0]);
    if (index >= 0)
        return value_at(fields, index);
    return index == -2 ? NULL : Py_NewRef(count == 2 ? args[1] : Py_None);
}

static PyObject *fields_getall(Fields *fields, PyObject *const *args, Py_ssize_t count)
{
    if (count < 1 || count > 2) {
        PyErr_SetString(PyExc_TypeError, "getall takes a name, and what to return without it");
        return NULL;
    }
    int index = index_of(fields, args[0]);
    if (index >= 0) {
        PyObject *value = value_at(fields, index), *list = value == NULL ? NULL : PyList_New(1);
        if (list == NULL)
            Py_XDECREF(value);
        else
            PyList_SET_ITEM(list, 0, value);
        return list;
    }
    if (index == -1 && count == 2)
        return Py_NewRef(args[1]);
    if (index == -1)
        PyErr_SetObject(PyExc_KeyError, args[0]);
    return NULL;
}

static PyObject *fields_subscript(Fields *fields, PyObject *key)
{
    int index = index_of(fields, key);
    if (index >= 0)
        return value_at(fields, index);
    if (index == -1)
        PyErr_SetObject(PyExc_KeyError, key);
    return NULL;
}

static int fields_contains(Fields *fields, PyObject *key)
{
    int index = index_of(fields, key);
    return index == -2 ? -1 : index >= 0;
}

static Py_ssize_t fields_length(Fields *fields)
{
    return fields->shape->count;
}

static PyObject *fields_iter(Fields *fields)
{
    return PyObject_GetIter(fields->shape->names);
}

/* All else is what the multidict has. A `tp_getattro` for it would slow each look-up down. */
#define OF_MULTIDICT(method)                                                                       \
    static PyObject *fields_##method(Fields *fields, PyObject *Py_UNUSED(none))                    \
    {                                                                                              \
        PyObject *made = fields_made(fields);                                                      \
        return made == NULL ? NULL : PyObject_CallMethod(made, #method, NULL);                     \
    }
OF_MULTIDICT(items)
OF_MULTIDICT(keys)
OF_MULTIDICT(values)
OF_MULTIDICT(copy)

static PyObject *fields_compare(PyObject *self, PyObject *other, int operation)
{
    PyObject *made = fields_made((Fields *)self);
    if (made != NULL && Py_IS_TYPE(other, &Fields_Type))
        other = fields_made((Fields *)other);
    return made == NULL || other == NULL ? NULL : PyObject_RichCompare(made, other, operation);
}

static PyMethodDef fields_methods[] = {
    {"get", (PyCFunction)(void (*)(void))fields_get, METH_FASTCALL, "Return the value of a field."},
    {"getall", (PyCFunction)(void (*)(void))fields_getall, METH_FASTCALL,
     "Return all values of a field."},
    {"items", (PyCFunction)fields_items, METH_NOARGS, "Return names and values."},
    {"keys", (PyCFunction)fields_keys, METH_NOARGS, "Return the names."},
    {"values", (PyCFunction)fields_values, METH_NOARGS, "Return the values."},
    {"copy", (PyCFunction)fields_copy, METH_NOARGS, "Return a multidict of one's own."},
    {NULL},
};
static PyMappingMethods fields_mapping = {(lenfunc)fields_length, (binaryfunc)fields_subscript};
static PySequenceMethods fields_sequence = {.sq_contains = (objobjproc)fields_contains};

static PyTypeObject Fields_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "gateway._kernel.Fields",
    .tp_doc = "The fields of a head, for look-ups by name; read-only, as a CIMultiDictProxy is.",
    .tp_basicsize = offsetof(Fields, lines),
    .tp_itemsize = sizeof(Line),
    .tp_dealloc = (destructor)fields_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = fields_methods,
    .tp_as_mapping = &fields_mapping,
    .tp_as_sequence = &fields_sequence,
    .tp_iter = (getiterfunc)fields_iter,
    .tp_richcompare = fields_compare,
    .tp_hash = PyObject_HashNotImplemented,
};

/* --- the lines of a head, in order ------------------------------------------------------- */

static void lines_dealloc(Lines *lines)
{
    Py_XDECREF(lines->fields);
    PyObject_Free(lines);
}

static Py_ssize_t lines_length(Lines *lines)
{
    return lines->fields->shape->count;
}

static PyObject *lines_item(Lines *lines, Py_ssize_t index)
{
    if (index < 0 || index >= lines->fields->shape->count) {
        PyErr_SetString(PyExc_IndexError, "no such line");
        return NULL;
    }
    Line *line = &lines->fields->lines[index];
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(lines->fields->block) + line->at,
                                     line->size);
}

/* joined(indexes, at, more): the lines of ascending `indexes`; `more` goes before the at-th. */
static PyObject *lines_joined(Lines *lines, PyObject *const *args, Py_ssize_t count)
{
    Fields *fields = lines->fields;
    if (count != 3 || !PyBytes_Check(args[0]) || !PyLong_Check(args[1]) || !PyBytes_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "joined takes bytes, int, bytes");
        return NULL;
    }
    const uint8_t *indexes = (const uint8_t *)PyBytes_AS_STRING(args[0]);
    const char *block = PyBytes_AS_STRING(fields->block);
    Py_ssize_t number = PyBytes_GET_SIZE(args[0]), more = PyBytes_GET_SIZE(args[2]);
    Py_ssize_t at = more ? PyLong_AsSsize_t(args[1]) : -1, size = more ? more + 2 : 0;
    for (Py_ssize_t index = 0; index < number; index++) {
        if (indexes[index] >= fields->shape->count) {
            PyErr_SetString(PyExc_IndexError, "no such line");
            return NULL;
        }
        size += fields->lines[indexes[index]].size + 2;
    }
    if (more && (at < 0 || at > number)) {
        PyErr_SetString(PyExc_IndexError, "no such place");
        return NULL;
    }
    PyObject *joined = PyBytes_FromStringAndSize(NULL, size);
    if (joined == NULL)
        return NULL;
    char *out = PyBytes_AS_STRING(joined);
    for (Py_ssize_t index = 0; index <= number; index++) {
        if (index == at) {
            memcpy(out, PyBytes_AS_STRING(args[2]), more);
            memcpy(out + more, "\r\n", 2);
            out += more + 2;
        }
        if (index < number) { /* each line stands before its CRLF, which is copied with it */
            Line *line = &fields->lines[indexes[index]];
            memcpy(out, block + line->at, line->size + 2);
            out += line->size + 2;
        }
    }
    return joined;
}

static PyMethodDef lines_methods[] = {
    {"joined", (PyCFunction)(void (*)(void))lines_joined, METH_FASTCALL,
     "Return some lines, each with its CRLF."},
    {NULL},
};
static PySequenceMethods lines_sequence = {
    .sq_length = (lenfunc)lines_length,
    .sq_item = (ssizeargfunc)lines_item,
};

static PyTypeObject Lines_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "gateway._kernel.Lines",
    .tp_doc = "The field lines of a head, without CRLF, as a sequence of bytes.",
    .tp_basicsize = sizeof(Lines),
    .tp_dealloc = (destructor)lines_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = lines_methods,
    .tp_as_sequence = &lines_sequence,
};

/* --- reading ----------------------------------------------------------------------------- */

static void reader_dealloc(LineReader *reader)
{
    forget_names(reader);
    Py_XDECREF(reader->text_of);
    Py_XDECREF(reader->cookies);
    Py_XDECREF(reader->judge_cookie);
    Py_XDECREF(reader->received);
    Py_XDECREF(reader->make);
    Py_TYPE(reader)->tp_free(reader);
}

static PyObject *reader_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *text_of, *cookies, *judge_cookie, *received, *make;
    if (!PyArg_ParseTuple(args, "OO!OO!O", &text_of, &PyDict_Type, &cookies, &judge_cookie,
                          &PyType_Type, &received, &make))
        return NULL;
    PyObject *seed = PyBytes_FromString("LineReader");
    LineReader *reader = seed == NULL ? NULL : (LineReader *)type->tp_alloc(type, 0);
    if (reader != NULL) {
        reader->seed = (uint64_t)PyObject_Hash(seed); /* secret, as Python's hashes are */
        reader->text_of = Py_NewRef(text_of);
        reader->cookies = Py_NewRef(cookies);
        reader->judge_cookie = Py_NewRef(judge_cookie);
        reader->received = Py_NewRef(received);
        reader->make = Py_NewRef(make);
    }
    Py_XDECREF(seed);
    return (PyObject *)reader;
}

static int is_keep_alive(const uint8_t *value, size_t size)
{
    return size == 10 && (value[0] | 32) == 'k' && memcmp(value + 1, "eep-", 4) == 0 &&
           (value[5] | 32) == 'a' && memcmp(value + 6, "live", 4) == 0;
}

/* Return a plain length of at most 18 digits; 0 for anything else. */
static long long length_in(const uint8_t *value, size_t size)
{
    long long length = 0;
    if (size > 18 || value[0] == '0')
        return 0;
    for (size_t index = 0; index < size; index++) {
        if (value[index] < '0' || value[index] > '9')
            return 0;
        length = 10 * length + (value[index] - '0');
    }
    return length;
}

static int is_visible(const uint8_t *value, const uint8_t *end)
{
    uint8_t is_other = 0;
    if (value >= end || *value == ' ' || end[-1] == ' ')
        return 0;
    for (; value < end; value++)
        is_other |= (uint8_t)(*value - 0x20) >= 0x5f;
    return !is_other;
}

/* Judge the lines of a block; return how many they are, -1 where the parser has to judge. */
static int judge_lines(LineReader *reader, PyObject *block, Line *lines, Name **names,
                       long long *length)
{
    const char *bytes = PyBytes_AS_STRING(block);
    uint32_t at = 0, end = (uint32_t)PyBytes_GET_SIZE(block) - 2;
    int count = 0, new_names = 0;
    while (at < end) { /* the block ends with CRLF CRLF, so a CR is always found */
        const char *line = bytes + at, *stop = memchr(line, '\r', end + 1 - at);
        const char *colon = stop == NULL ? NULL : memchr(line, ':', stop - line);
        if (colon == NULL || stop[1] != '\n' || colon[1] != ' ' || count == MAX_LINES ||
            colon - line > MAX_NAME_BYTES)
            return -1;
        Name *name = find_name(reader, line, (uint32_t)(colon - line), &new_names);
        const uint8_t *value = (const uint8_t *)colon + 2, *last = (const uint8_t *)stop;
        if (name == NULL || name->kind == LEFT_TO_PARSER || !is_visible(value, last))
            return -1;
        if (name->kind == CONNECTION && !is_keep_alive(value, last - value))
            return -1;
        if (name->kind == LENGTH && (*length = length_in(value, last - value)) == 0)
            return -1;
        lines[count].at = at;
        lines[count].size = (uint32_t)(stop - line);
        lines[count].value_at = (uint32_t)(colon - line) + 2;
        names[count++] = name;
        at += (uint32_t)(stop - line) + 2;
    }
    return count;
}

/* Return the value of a Cookie line with its memo, which the table of lines keeps. */
static PyObject *cookie_of(LineReader *reader, const char *line, uint32_t size)
{
    PyObject *key = PyBytes_FromStringAndSize(line, size), *value = NULL;
    if (key == NULL)
        return NULL;
    PyObject *judged = PyDict_GetItemWithError(reader->cookies, key);
    if (judged != NULL && PyTuple_Check(judged) && PyTuple_GET_SIZE(judged) == 2)
        value = Py_NewRef(PyTuple_GET_ITEM(judged, 1));
    else if (!PyErr_Occurred())
        value = PyObject_CallOneArg(reader->judge_cookie, key);
    Py_DECREF(key);
    return value;
}

static PyObject *judged_fields(LineReader *reader, Fields *fields, long long length)
{
    Lines *lines = PyObject_New(Lines, &Lines_Type);
    if (lines == NULL)
        return NULL;
    lines->fields = (Fields *)Py_NewRef((PyObject *)fields);
    PyTypeObject *type = (PyTypeObject *)reader->received;
    PyObject *received = type->tp_alloc(type, 2), *body = PyLong_FromLongLong(length);
    PyObject *judged = received == NULL || body == NULL ? NULL : PyTuple_New(3);
    if (judged == NULL) {
        Py_DECREF(lines);
        Py_XDECREF(received);
        Py_XDECREF(body);
        return NULL;
    }
    PyTuple_SET_ITEM(received, 0, Py_NewRef(fields->shape->names));
    PyTuple_SET_ITEM(received, 1, (PyObject *)lines);
    PyTuple_SET_ITEM(judged, 0, Py_NewRef((PyObject *)fields));
    PyTuple_SET_ITEM(judged, 1, received);
    PyTuple_SET_ITEM(judged, 2, body);
    return judged;
}

/* Make the fields of judged lines; NULL with an error. */
static Fields *make_fields(LineReader *reader, PyObject *block, Shape *shape, const Line *lines)
{
    int count = shape->count;
    Fields *fields = PyObject_NewVar(Fields, &Fields_Type, count);
    if (fields == NULL)
        return NULL;
    fields->block = Py_NewRef(block);
    fields->shape = (Shape *)Py_NewRef((PyObject *)shape);
    fields->make = Py_NewRef(reader->make);
    fields->cookie = fields->made = NULL;
    memcpy(fields->lines, lines, count * sizeof(*lines));
    return fields;
}

static PyObject *reader_read(LineReader *reader, PyObject *const *args, Py_ssize_t number)
{
    Line lines[MAX_LINES];
    Name *names[MAX_LINES];
    long long length = 0;
    if (number != 2 || !PyBytes_Check(args[0]) || !PyLong_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "read takes bytes and int");
        return NULL;
    }
    Py_ssize_t size = PyBytes_GET_SIZE(args[0]);
    if (size < 6 || size > 1 << 20 || memcmp(PyBytes_AS_STRING(args[0]) + size - 4, "\r\n\r\n", 4))
        Py_RETURN_NONE;
    if (reader->name_count >= MAX_NAMES)
        forget_names(reader); /* here, as no head is under way */
    int count = judge_lines(reader, args[0], lines, names, &length);
    if (count < 0 || count > PyLong_AsLong(args[1])) {
        if (PyErr_Occurred())
            return NULL;
        Py_RETURN_NONE;
    }
    Shape *shape = find_shape(reader, names, count);
    if (shape == NULL)
        return NULL;
    if (!shape->is_fit)
        Py_RETURN_NONE;
    Fields *fields = make_fields(reader, args[0], shape, lines);
    PyObject *judged = NULL;
    if (fields != NULL && shape->cookie >= 0) {
        Line *line = &lines[shape->cookie];
        fields->cookie = cookie_of(reader, PyBytes_AS_STRING(args[0]) + line->at, line->size);
        if (fields->cookie == NULL)
            Py_CLEAR(fields);
    }
    if (fields != NULL)
        judged = judged_fields(reader, fields, length);
    Py_XDECREF(fields);
    return judged;
}

static PyMethodDef reader_methods[] = {
    {"read", (PyCFunction)(void (*)(void))reader_read, METH_FASTCALL,
     "Read the lines of a block, which ends with an empty one; None for the parser."},
    {NULL},
};

static PyTypeObject LineReader_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "gateway._kernel.LineReader",
    .tp_doc = "Reads the field lines of heads; one for each worker.",
    .tp_basicsize = sizeof(LineReader),
    .tp_dealloc = (destructor)reader_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = reader_methods,
    .tp_new = reader_new,
};

/* --- targets and paths ------------------------------------------------------------------- */

typedef struct {
    uint64_t hash;
    Py_ssize_t size;
    PyObject *path, *routes; /* NULL in an empty slot */
} Place;

typedef struct {
    PyObject_HEAD
    Place *exact, *prefix;
    size_t exact_mask, prefix_mask;
    PyObject *everywhere; /* the routes of the empty prefix */
    PyObject *target;
} PathReader;

static PyTypeObject PathReader_Type;
static uint8_t is_in_path[256], is_in_query[256];

#define PATH_BASIS 0xcbf29ce484222325ull
#define PATH_PRIME 0x100000001b3ull

static void free_places(Place *places, size_t mask)
{
    for (size_t slot = 0; places != NULL && slot <= mask; slot++) {
        Py_XDECREF(places[slot].path);
        Py_XDECREF(places[slot].routes);
    }
    PyMem_Free(places);
}

static void paths_dealloc(PathReader *reader)
{
    free_places(reader->exact, reader->exact_mask);
    free_places(reader->prefix, reader->prefix_mask);
    Py_XDECREF(reader->everywhere);
    Py_XDECREF(reader->target);
    Py_TYPE(reader)->tp_free(reader);
}

static PyObject *find_place(const Place *places, size_t mask, uint64_t hash, const uint8_t *path,
                            Py_ssize_t size)
{
    for (size_t slot = (hash ^ (hash >> 29)) & mask; places[slot].path != NULL;
         slot = (slot + 1) & mask)
        if (places[slot].hash == hash && places[slot].size == size &&
            memcmp(PyUnicode_1BYTE_DATA(places[slot].path), path, size) == 0)
            return places[slot].routes;
    return NULL;
}

/* Copy a dict of routes by path into places; NULL with an error. */
static Place *make_places(PyObject *routes, size_t *mask)
{
    size_t slots = 8;
    while (slots < 2 * (size_t)PyDict_GET_SIZE(routes))
        slots *= 2;
    Place *places = PyMem_Calloc(slots, sizeof(Place));
    if (places == NULL)
        return (Place *)PyErr_NoMemory();
    *mask = slots - 1;
    PyObject *path, *found;
    for (Py_ssize_t at = 0; PyDict_Next(routes, &at, &path, &found);) {
        if (!PyUnicode_Check(path) || !PyUnicode_IS_COMPACT_ASCII(path) || !PyList_Check(found))
            continue; /* no plain target has such a path */
        uint64_t hash = PATH_BASIS;
        for (Py_ssize_t index = 0; index < PyUnicode_GET_LENGTH(path); index++)
            hash = (hash ^ PyUnicode_1BYTE_DATA(path)[index]) * PATH_PRIME;
        size_t slot = (hash ^ (hash >> 29)) & *mask;
        while (places[slot].path != NULL)
            slot = (slot + 1) & *mask;
        places[slot].hash = hash;
        places[slot].size = PyUnicode_GET_LENGTH(path);
        places[slot].path = Py_NewRef(path);
        places[slot].routes = Py_NewRef(found);
    }
    return places;
}

static PyObject *paths_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *exact, *prefix, *target;
    if (!PyArg_ParseTuple(args, "O!O!O!", &PyDict_Type, &exact, &PyDict_Type, &prefix, &PyType_Type,
                          &target))
        return NULL;
    PyObject *empty = PyUnicode_FromString("");
    PyObject *everywhere = empty == NULL ? NULL : PyDict_GetItemWithError(prefix, empty);
    Py_XDECREF(empty);
    if (everywhere == NULL || !PyList_Check(everywhere)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "there is no list for the empty prefix");
        return NULL;
    }
    PathReader *reader = (PathReader *)type->tp_alloc(type, 0);
    if (reader == NULL)
        return NULL;
    reader->everywhere = Py_NewRef(everywhere);
    reader->target = Py_NewRef(target);
    if ((reader->exact = make_places(exact, &reader->exact_mask)) == NULL ||
        (reader->prefix = make_places(prefix, &reader->prefix_mask)) == NULL)
        Py_CLEAR(reader);
    return (PyObject *)reader;
}

static PyObject *make_target(PathReader *reader, PyObject *raw, Py_ssize_t path_size)
{
    PyObject *path;
    if (path_size == PyUnicode_GET_LENGTH(raw))
        path = Py_NewRef(raw);
    else if ((path = PyUnicode_New(path_size, 127)) != NULL)
        memcpy(PyUnicode_1BYTE_DATA(path), PyUnicode_1BYTE_DATA(raw), path_size);
    PyTypeObject *type = (PyTypeObject *)reader->target;
    PyObject *target = path == NULL ? NULL : type->tp_alloc(type, 3);
    if (target == NULL) {
        Py_XDECREF(path);
        return NULL;
    }
    PyTuple_SET_ITEM(target, 0, path);
    PyTuple_SET_ITEM(target, 1, Py_NewRef(raw));
    PyTuple_SET_ITEM(target, 2, Py_NewRef(Py_False));
    return target;
}

/* Return the routes of the most specific pattern that covers a plain path of `end` characters. */
static PyObject *routes_of(PathReader *reader, PyObject *nearest, const uint8_t *text,
                           Py_ssize_t end, uint64_t hash, uint64_t hash_before)
{
    Py_ssize_t cut = text[end - 1] == '/' ? end - 1 : end;
    PyObject *exact = find_place(reader->exact, reader->exact_mask, hash, text, end);
    if ((exact == NULL || !PyList_GET_SIZE(exact)) && cut != end && cut > 0)
        exact = find_place(reader->exact, reader->exact_mask, hash_before, text, cut);
    return exact != NULL && PyList_GET_SIZE(exact) ? exact : nearest;
}

static PyObject *paths_read(PathReader *reader, PyObject *raw)
{
    if (!PyUnicode_Check(raw) || !PyUnicode_IS_COMPACT_ASCII(raw))
        Py_RETURN_NONE;
    const uint8_t *text = PyUnicode_1BYTE_DATA(raw);
    Py_ssize_t size = PyUnicode_GET_LENGTH(raw), at = 0;
    uint64_t hash = PATH_BASIS, hash_before = hash;
    PyObject *nearest = reader->everywhere, *below;
    int goes_on = 1; /* whether there is anything below the prefix so far */
    if (size == 0 || text[0] != '/')
        Py_RETURN_NONE;
    for (; at < size && is_in_path[text[at]]; at++) {
        if (at > 0 && text[at - 1] == '/' && (text[at] == '/' || text[at] == '.'))
            Py_RETURN_NONE; /* an ambiguous segment, perhaps */
        if (at > 0 && text[at] == '/' && goes_on) {
            below = find_place(reader->prefix, reader->prefix_mask, hash, text, at);
            goes_on = below != NULL;
            if (goes_on && PyList_GET_SIZE(below))
                nearest = below;
        }
        hash_before = hash;
        hash = (hash ^ text[at]) * PATH_PRIME;
    }
    Py_ssize_t end = at;
    if (at < size && text[at++] != '?')
        Py_RETURN_NONE;
    for (; at < size; at++)
        if (!is_in_query[text[at]])
            Py_RETURN_NONE;
    if (goes_on && text[end - 1] != '/') {
        below = find_place(reader->prefix, reader->prefix_mask, hash, text, end);
        if (below != NULL && PyList_GET_SIZE(below))
            nearest = below;
    }
    nearest = routes_of(reader, nearest, text, end, hash, hash_before);
    PyObject *target = make_target(reader, raw, end);
    PyObject *found = target == NULL ? NULL : PyTuple_Pack(2, target, nearest);
    Py_XDECREF(target);
    return found;
}

static void set_characters(void)
{
    const char *path = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~!$&'()*+,=:@/-";
    for (; *path; path++)
        is_in_path[(uint8_t)*path] = 1;
    for (int character = 0x21; character < 0x7f; character++)
        is_in_query[character] = character != '#';
}

static PyMethodDef paths_methods[] = {
    {"read", (PyCFunction)paths_read, METH_O,
     "Return a plain target and the routes of its path; None for any other target."},
    {NULL},
};

static PyTypeObject PathReader_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "gateway._kernel.PathReader",
    .tp_doc = "Reads targets without escapes and parameters, and finds the routes of their paths.",
    .tp_basicsize = sizeof(PathReader),
    .tp_dealloc = (destructor)paths_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = paths_methods,
    .tp_new = paths_new,
};

/* --- lines of JSON ----------------------------------------------------------------------- */

#define LINE_BYTES 4096 /* most lines have fewer; memory for a longer one is allocated */
#define MAX_ESCAPED 6   /* bytes of JSON for one: \u001f */
#define MAX_NUMBER 32

typedef struct {
    char *start, *at, *end;
    char first[LINE_BYTES];
} Text;

static int make_room(Text *text, size_t size)
{
    if ((size_t)(text->end - text->at) >= size)
        return 0;
    size_t used = text->at - text->start, room = 2 * (used + size);
    char *old = text->start == text->first ? NULL : text->start, *grown = PyMem_Realloc(old, room);
    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (old == NULL)
        memcpy(grown, text->first, used);
    text->start = grown, text->at = grown + used, text->end = grown + room;
    return 0;
}

/* Whether one of eight bytes is a control character, a quote or a backslash. */
static inline int has_escaped(uint64_t eight)
{
    const uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080;
    uint64_t quote = eight ^ (ones * '"'), backslash = eight ^ (ones * '\\');
    uint64_t found = (eight - ones * 0x20) & ~eight;
    found |= (quote - ones) & ~quote;
    found |= (backslash - ones) & ~backslash;
    return (found & highs) != 0;
}

static char *escape(char *at, uint8_t byte)
{
    static const char named[] = "btn?fr", hex[] = "0123456789abcdef";
    *at++ = '\\';
    if (byte == '"' || byte == '\\') {
        *at++ = byte;
    } else if (byte >= '\b' && byte <= '\r' && byte != '\v') {
        *at++ = named[byte - '\b'];
    } else {
        memcpy(at, "u00", 3);
        at[3] = hex[byte >> 4], at[4] = hex[byte & 15];
        at += 5;
    }
    return at;
}

static int write_text(Text *text, PyObject *value)
{
    Py_ssize_t size;
    const char *from;
    if (PyUnicode_IS_COMPACT_ASCII(value)) {
        from = (const char *)PyUnicode_1BYTE_DATA(value), size = PyUnicode_GET_LENGTH(value);
    } else if ((from = PyUnicode_AsUTF8AndSize(value, &size)) == NULL) {
        return -1;
    }
    if (make_room(text, (size_t)size * MAX_ESCAPED + 2) < 0)
        return -1;
    const char *end = from + size;
    char *at = text->at;
    *at++ = '"';
    while (from < end) {
        uint64_t eight;
        if (end - from >= 8 && (memcpy(&eight, from, 8), !has_escaped(eight))) {
            memcpy(at, &eight, 8);
            at += 8, from += 8;
            continue;
        }
        const char *stop = end - from >= 8 ? from + 8 : end;
        for (; from < stop; from++) {
            uint8_t byte = (uint8_t)*from;
            if (byte < 0x20 || byte == '"' || byte == '\\')
                at = escape(at, byte);
            else
                *at++ = byte;
        }
    }
    *at++ = '"';
    text->at = at;
    return 0;
}

static void write_digits(Text *text, uint64_t number)
{
    char digits[MAX_NUMBER], *first = digits + MAX_NUMBER;
    do
        *--first = '0' + number % 10;
    while (number /= 10);
    memcpy(text->at, first, digits + MAX_NUMBER - first);
    text->at += digits + MAX_NUMBER - first;
}

/* Write a number of thousandths; others as Python writes them, which is slower. */
static int write_float(Text *text, double number)
{
    if (number >= 0 && number < 1e9) {
        uint64_t thousandths = (uint64_t)(number * 1000 + 0.5);
        if ((double)thousandths / 1000 == number) {
            write_digits(text, thousandths / 1000);
            uint32_t left = thousandths % 1000;
            *text->at++ = '.';
            do {
                *text->at++ = '0' + left / 100;
                left = left % 100 * 10;
            } while (left);
            return 0;
        }
    }
    char *written = PyOS_double_to_string(number, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (written == NULL)
        return -1;
    size_t size = strlen(written);
    memcpy(text->at, written, size);
    text->at += size;
    PyMem_Free(written);
    return 0;
}

static int write_value(Text *text, PyObject *value)
{
    if (PyUnicode_Check(value))
        return write_text(text, value);
    if (make_room(text, MAX_NUMBER) < 0)
        return -1;
    if (PyFloat_CheckExact(value))
        return write_float(text, PyFloat_AS_DOUBLE(value));
    unsigned long long number = PyLong_AsUnsignedLongLong(value);
    if (number == (unsigned long long)-1 && PyErr_Occurred())
        return -1;
    write_digits(text, number);
    return 0;
}

/* json_line(names, values): the members whose name and value are not None. */
static PyObject *json_line(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !PyTuple_Check(args[0]) || !PyTuple_Check(args[1]) ||
        PyTuple_GET_SIZE(args[0]) != PyTuple_GET_SIZE(args[1])) {
        PyErr_SetString(PyExc_TypeError, "json_line takes two tuples of one length");
        return NULL;
    }
    Text text;
    text.start = text.at = text.first, text.end = text.first + LINE_BYTES;
    PyObject *line = NULL;
    char before = '{';
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(args[0]); index++) {
        PyObject *name = PyTuple_GET_ITEM(args[0], index);
        PyObject *value = PyTuple_GET_ITEM(args[1], index);
        if (name == Py_None || value == Py_None)
            continue;
        if (!PyBytes_Check(name)) {
            PyErr_SetString(PyExc_TypeError, "names are bytes");
            goto end;
        }
        size_t size = PyBytes_GET_SIZE(name);
        if (make_room(&text, size + 1) < 0)
            goto end;
        *text.at++ = before;
        before = ',';
        memcpy(text.at, PyBytes_AS_STRING(name), size);
        text.at += size;
        if (write_value(&text, value) < 0)
            goto end;
    }
    if (make_room(&text, 3) < 0)
        goto end;
    if (before == '{')
        *text.at++ = '{';
    *text.at++ = '}';
    *text.at++ = '\n';
    line = PyBytes_FromStringAndSize(text.start, text.at - text.start);
end:
    if (text.start != text.first)
        PyMem_Free(text.start);
    return line;
}

static PyMethodDef functions[] = {
    {"json_line", (PyCFunction)(void (*)(void))json_line, METH_FASTCALL,
     "Write a line of JSON: names as they are, values of them; None for a member that is left out."},
    {NULL},
};

/* --- the module -------------------------------------------------------------------------- */

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "gateway._kernel",
    .m_doc = "What is tight and pure on the bulk path, in C.",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__kernel(void)
{
    PyObject *made;
    if (PyType_Ready(&Shape_Type) < 0 || PyType_Ready(&Fields_Type) < 0 ||
        PyType_Ready(&Lines_Type) < 0 || PyType_Ready(&LineReader_Type) < 0 ||
        PyType_Ready(&PathReader_Type) < 0 ||
        (lower_by_key = PyDict_New()) == NULL || (made = PyModule_Create(&module)) == NULL)
        return NULL;
    if (PyModule_AddObjectRef(made, "Fields", (PyObject *)&Fields_Type) < 0 ||
        PyModule_AddObjectRef(made, "Lines", (PyObject *)&Lines_Type) < 0 ||
        PyModule_AddObjectRef(made, "LineReader", (PyObject *)&LineReader_Type) < 0 ||
        PyModule_AddObjectRef(made, "PathReader", (PyObject *)&PathReader_Type) < 0)
        Py_CLEAR(made);
    set_characters();
    return made;
}
