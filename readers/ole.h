/* The container of old Office files, as far as saying what such a file is: nothing of it is read. */
#ifndef TIDEGATE_READERS_OLE_H
#define TIDEGATE_READERS_OLE_H

/*
 * NULL: the file does not begin as such a container. Else the code of its refusal: password_protected (an encrypted workbook,
 * [MS-OFFCRYPTO] 2.3), old_excel (.xls), or looks_like_xls where its directory shows neither.
 */
const char *ole_refusal(int fd);

#endif
