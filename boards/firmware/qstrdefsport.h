// Names that C code needs beside those that the build collects: none.
