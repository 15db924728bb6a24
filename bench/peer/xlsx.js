// ExcelJS's streaming reader on a workbook: FILE. Prints seconds, rows and cells. Styles are kept, because dates need them.
import ExcelJS from 'exceljs';

const begin = performance.now();
const options = { worksheets: 'emit', sharedStrings: 'cache', hyperlinks: 'ignore', styles: 'cache', entries: 'ignore' };
let rows = 0, cells = 0;
for await (const sheet of new ExcelJS.stream.xlsx.WorkbookReader(process.argv[2], options))
	for await (const row of sheet) {
		rows++;
		cells += row.actualCellCount;
	}
console.log(((performance.now() - begin) / 1000).toFixed(3), rows, cells);
